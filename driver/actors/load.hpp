// load.hpp: the open-loop sender: jobs at a fixed rate on its own connection and thread, whatever
// the queue does. Each job has an idempotency key of its own, so a call that lost its answer can be
// sent again and still counts once.
#pragma once

#include <atomic>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "db/queue_client.hpp"
#include "judge/ledger.hpp"
#include "plan/plan.hpp"

namespace fairq::driver::actors {

/// The tenant of every planned job: in turn, each round in an order of its own that the seed decides.
std::vector<std::string> planned_tenants(const plan::EnqueueActor &actor, std::uint64_t seed);

struct LoadResult {
    long long planned = 0;
    long long sent_in_time = 0; ///< acknowledged before the planned end (and a short grace)
    std::vector<judge::AcceptedJob> accepted;
    std::vector<std::string> unknown_keys;
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
        std::string key_prefix; ///< unique for the run and the actor
        std::uint64_t seed;
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
    void send(std::size_t first, std::size_t last);
    std::size_t due_jobs(double seconds) const;

    plan::EnqueueActor actor_;
    Run run_;
    std::vector<std::string> tenants_;
    db::Database database_;
    LoadResult result_;
    std::chrono::steady_clock::time_point start_;
    std::atomic<bool> stopping_{false};
    std::atomic<bool> finished_{false};
    std::atomic<long long> sent_{0};
    std::thread thread_;
};

} // namespace fairq::driver::actors
