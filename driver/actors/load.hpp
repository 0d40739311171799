// load.hpp: the open-loop sender: jobs at a fixed rate on its own connection and thread, whatever
// the queue does. Each job has an idempotency key of its own, so a call that lost its answer can be
// sent again and still counts once. Keys, payloads and tenants carry the name of the run.
#pragma once

#include <atomic>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "db/queue_client.hpp"
#include "judge/journal.hpp"
#include "plan/plan.hpp"

namespace fairq::driver::actors {

/// The tenants of a load: in turn, each round in an order of its own that the seed decides.
class TenantRounds {
public:
    TenantRounds(long long tenants, std::uint64_t seed);

    /// From 1 on.
    long long next();

private:
    std::mt19937_64 random_;
    std::vector<long long> round_;
    std::size_t place_;
};

struct LoadResult {
    long long planned = 0;
    long long sent_in_time = 0; ///< acknowledged before the planned end (and a short grace)
    std::vector<double> call_ms;
    std::vector<double> lag_ms;
    int reconnects = 0;
    std::string error; ///< why it gave up
};

class LoadSender {
public:
    struct Run {
        std::string conninfo;
        std::string schema;
        std::string run_id;
        std::uint32_t sender; ///< of the run's senders, from 1 on
        std::uint64_t seed;
        judge::Journal &journal;
    };

    LoadSender(const plan::EnqueueActor &actor, const Run &run);
    ~LoadSender();
    LoadSender(const LoadSender &) = delete;
    LoadSender &operator=(const LoadSender &) = delete;

    bool finished() const { return finished_; }
    long long sent() const { return sent_; }

    /// Ends the sending and hands out what was done. Once.
    LoadResult stop();

private:
    void loop();
    struct Batch {
        std::vector<judge::JournalEntry> entries;
        std::vector<std::string> tenants, payloads, keys;
    };
    Batch make_batch(long long last);
    void send(Batch batch);
    void call(Batch &batch);
    void write_down(Batch &batch, judge::Event event);
    long long due_jobs(double seconds) const;

    plan::EnqueueActor actor_;
    Run run_;
    TenantRounds tenants_;
    long long planned_ = 0; ///< how many have a batch
    db::Database database_;
    LoadResult result_;
    std::chrono::steady_clock::time_point start_;
    std::atomic<bool> stopping_{false};
    std::atomic<bool> finished_{false};
    std::atomic<long long> sent_{0};
    std::thread thread_;
};

} // namespace fairq::driver::actors
