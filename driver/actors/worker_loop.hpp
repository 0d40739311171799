// worker_loop.hpp: one worker as applications have them: a session that claims, works, and completes or fails, again and
// again. Whoever runs it, on a thread or as a process of its own, hears of everything that it does. No queue logic is
// here.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "db/database.hpp"
#include "judge/journal.hpp"
#include "units.hpp"

namespace fairq::driver::actors {

struct ClaimedJob {
    long long id = 0;
    long long attempts = 0;
    std::string tenant, key; ///< the concurrency key, empty: none
    Milliseconds work{0};
};

/// What a worker is to do.
struct WorkerOrders {
    std::string conninfo, schema, run_id, worker_id;
    long long batch = 1, tenant_cap = 1;
    std::optional<Milliseconds> work; ///< for each job; none: its payload's work_ms
    double fail = 0;                  ///< the share of attempts that fail
    std::uint64_t seed = 0;
};

/// Where a worker can be told to crash.
enum class CrashPoint { before_claim, claimed, mid_work, before_complete, completed };

const std::vector<std::string> &crash_point_names();

class WorkerEvents {
public:
    WorkerEvents() = default;
    virtual ~WorkerEvents() = default;
    WorkerEvents(const WorkerEvents &) = delete;
    WorkerEvents &operator=(const WorkerEvents &) = delete;

    virtual bool stopping() = 0;
    virtual void at(CrashPoint) {}
    virtual void count(const std::string &metric, double more) = 0;
    virtual void time(const std::string &metric, std::int64_t microseconds) = 0;

    /// From when its claim is back until just before its end is sent, a job runs for certain.
    virtual void hold(const ClaimedJob &job) = 0;
    virtual void let_go(const ClaimedJob &job) = 0;

    /// Their completion is about to be sent.
    virtual void completing(const std::vector<long long> &) {}
    virtual void completion(const std::vector<long long> &ids, judge::Event event) = 0;

    virtual void worked(std::size_t jobs) = 0;
    virtual void met(const std::exception &error) = 0;
};

class WorkerLoop {
public:
    WorkerLoop(const WorkerOrders &orders, WorkerEvents &events);

    /// Until it is told to stop. An error does not end it: its jobs come back with their lease.
    void run();

private:
    struct Claim {
        std::vector<ClaimedJob> jobs;
        std::string lock_token;
    };

    Claim claim();
    void wait();
    void work(const Claim &claim);
    void fail(const ClaimedJob &job, const Claim &claim);
    void complete(const Claim &claim, const std::vector<ClaimedJob> &jobs);
    bool fails(const ClaimedJob &job) const;

    const WorkerOrders orders_;
    WorkerEvents &events_;
    db::Database database_;
};

} // namespace fairq::driver::actors
