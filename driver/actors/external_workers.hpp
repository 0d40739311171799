// external_workers.hpp: workers as applications have them: sessions that claim, work, and complete or fail,
// each on a thread and a connection of its own. What they measured and which completions were accepted is
// theirs to tell; no queue logic is here.
#pragma once

#include <atomic>
#include <mutex>
#include <thread>

#include "actors/actor.hpp"

namespace fairq::driver::actors {

class ExternalWorkers : public Actor {
public:
    ExternalWorkers(const plan::ExternalWorkersActor &actor, const Stage &stage);
    ~ExternalWorkers() override;

    Figures stop() override;

private:
    struct Claimed {
        long long id = 0;
        long long attempts = 0;
        std::string tenant, key; ///< the concurrency key, empty: none
        Milliseconds work{0};
    };
    struct Claim {
        std::vector<Claimed> jobs;
        std::string lock_token;
    };

    void loop(int number);
    Claim claim(db::Database &database, const std::string &worker_id);
    void wait(db::Database &database) const;
    void work(db::Database &database, const Claim &claim);
    void hold(const Claimed &job);
    void let_go(const Claimed &job);
    bool fails(const Claimed &job) const;
    void complete(db::Database &database, const Claim &claim, const std::vector<Claimed> &jobs);
    void write_down(const std::vector<long long> &ids, judge::Event event);
    void note(const std::string &text);
    void met(const std::exception &error);
    void count(const std::string &metric, double more);
    void time(const std::string &metric, std::chrono::steady_clock::time_point since);

    const plan::ExternalWorkersActor actor_;
    const Stage stage_;
    std::atomic<bool> stopping_{false};
    std::mutex mutex_; // of the figures
    Figures figures_;
    std::map<std::string, int> held_; ///< jobs at once, by tenant, and by tenant and key
    std::vector<long long> jobs_;     ///< completed, by worker
    std::vector<std::thread> threads_;
};

} // namespace fairq::driver::actors
