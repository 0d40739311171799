// workers.hpp: the workers of a plan, of whatever kind, as one thing that the engine starts and stops. Cron
// workers are jobs of pg_cron; tick workers are connections of the driver that call a tick again and again.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "db/cron.hpp"
#include "db/database.hpp"
#include "plan/plan.hpp"

namespace fairq::driver::actors {

/// Calls run_job_queue_parallel(n) once every so often, on its own connection and thread, until it goes.
class TickWorker {
public:
    TickWorker(db::Database &control, const std::string &schema, const std::string &run_id,
               const plan::WorkerActor &worker);
    ~TickWorker();
    TickWorker(const TickWorker &) = delete;
    TickWorker &operator=(const TickWorker &) = delete;

    /// Tells the loop to end; a tick that runs is cancelled through `control`.
    void stop(db::Database &control);

    /// The last errors of its ticks.
    std::vector<std::string> errors() const;

private:
    void loop();
    void tick();
    void pause_until(std::chrono::steady_clock::time_point when) const;

    db::Database database_;
    std::string call_;
    Milliseconds every_;
    std::atomic<bool> stopping_{false};
    std::atomic<bool> finished_{false};
    mutable std::mutex mutex_;
    std::vector<std::string> errors_;
    std::thread thread_;
};

class WorkerSet {
public:
    WorkerSet(db::Database &control, const std::string &schema, const std::string &run_id)
        : control_(control), schema_(schema), run_id_(run_id), cron_(control, schema) {}

    db::CronJobs &cron() { return cron_; }

    /// Starts what is not running yet.
    void start(const std::vector<plan::WorkerActor> &workers);

    /// Stops those of the phase that are not to stay.
    void stop(const std::vector<plan::WorkerActor> &workers);

    void stop_all() noexcept;

    /// Why workers fail, in words, latest first.
    std::vector<std::string> errors();

private:
    void stop_ticks() noexcept;

    db::Database &control_;
    std::string schema_;
    std::string run_id_;
    db::CronJobs cron_;
    std::vector<std::unique_ptr<TickWorker>> ticks_;
};

} // namespace fairq::driver::actors
