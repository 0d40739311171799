// calls.hpp: a statement, called as its users would: at planned times, whatever the server does, over so many
// connections. A call's time counts from when it was planned, so that a server that stalls shows in every
// call that waited for it.
#pragma once

#include <atomic>
#include <mutex>
#include <thread>

#include "actors/actor.hpp"
#include "plan/mix.hpp"
#include "plan/schedule.hpp"

namespace fairq::driver::actors {

class Calls : public Actor {
public:
    /// Throws DatabaseError when a connection cannot be opened.
    Calls(const plan::CallsActor &actor, const Stage &stage);
    ~Calls() override;

    bool brings_load() const override { return true; }
    bool finished() const override { return running_ == 0; }
    long long done() const override { return done_; }
    Figures so_far() override;
    Figures stop() override;

private:
    struct Planned {
        std::chrono::steady_clock::time_point at;
        std::uint64_t number = 0; ///< of the job, if the call enqueues one
        std::uint64_t n = 0;
        long long tenant = 0;
    };

    static std::vector<std::unique_ptr<db::Database>> open_sessions(const plan::CallsActor &actor,
                                                                    const Stage &stage);
    std::optional<Planned> take();
    bool wait_until(std::chrono::steady_clock::time_point when) const;
    void loop(db::Database &database);
    void call(db::Database &database, const Planned &planned);
    void write_down(const Planned &planned, judge::Event event, long long id = 0);
    bool expected(const std::string &sqlstate) const;
    void failed(const Planned &planned, const db::DatabaseError &error);

    const plan::CallsActor actor_;
    const Stage stage_;
    const std::uint32_t sender_;
    std::vector<std::unique_ptr<db::Database>> sessions_; ///< open before the first call is due
    const std::chrono::steady_clock::time_point start_, end_;
    std::atomic<bool> stopping_{false};
    std::atomic<int> running_;
    std::atomic<long long> done_{0};
    std::mutex mutex_; // of all that follows
    plan::Schedule schedule_;
    plan::Mix mix_;
    std::uint64_t planned_ = 0;
    Figures figures_;
    std::vector<std::thread> threads_;
};

} // namespace fairq::driver::actors
