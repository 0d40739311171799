// load.hpp: the open-loop sender: jobs at a fixed rate on its own connection and thread, whatever
// the queue does. Each job has an idempotency key of its own, so a call that lost its answer can be
// sent again and still counts once. Keys, payloads and tenants carry the name of the run.
#pragma once

#include <atomic>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "actors/actor.hpp"
#include "db/queue_client.hpp"
#include "plan/mix.hpp"

namespace fairq::driver::actors {

class LoadSender : public Actor {
public:
    LoadSender(const plan::EnqueueActor &actor, const Stage &stage);
    ~LoadSender() override;

    bool brings_load() const override { return true; }
    bool finished() const override { return finished_; }
    long long done() const override { return sent_; }
    Figures so_far() override;
    Figures stop() override;

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

    const plan::EnqueueActor actor_;
    const Stage stage_;
    const std::uint32_t sender_;
    plan::Mix tenants_;
    long long planned_ = 0; ///< how many have a batch
    db::Database database_;
    std::mutex mutex_; // of the figures
    Figures figures_;
    std::chrono::steady_clock::time_point start_;
    std::atomic<bool> stopping_{false};
    std::atomic<bool> finished_{false};
    std::atomic<long long> sent_{0};
    std::thread thread_;
};

} // namespace fairq::driver::actors
