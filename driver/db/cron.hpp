// cron.hpp: workers that pg_cron starts. The text of the jobs is pure; CronJobs schedules them, remembers
// which are ours and takes those, and only those, away again, a CALL that still runs included.
#pragma once

#include <map>
#include <string>

#include "db/database.hpp"
#include "plan/plan.hpp"

namespace fairq::driver::db {

struct CronJob {
    std::string name;
    std::string schedule;
    std::string command;
};

/// pg_cron counts seconds from 1.5 on.
bool cron_counts_seconds(const std::string &extension_version);

/// The job that makes these workers tick. Below a minute: a seconds schedule where pg_cron has it, else a
/// minute job that ticks inside its minute. `schema` is quoted where it must be.
CronJob make_cron_job(const plan::WorkerActor &worker, const std::string &schema, bool seconds);

/// The statement that schedules it, as people type it.
std::string schedule_statement(const CronJob &job);

class CronJobs {
public:
    CronJobs(Database &database, std::string schema) : database_(database), schema_(std::move(schema)) {}
    ~CronJobs();
    CronJobs(const CronJobs &) = delete;
    CronJobs &operator=(const CronJobs &) = delete;

    /// Throws SetupError when pg_cron is missing here, or has a job of one of these names already.
    void check(const plan::Plan &plan);

    void schedule(const plan::WorkerActor &worker);
    bool scheduled(const std::string &name) const { return jobs_.count(name) != 0; }

    /// Unschedules the job and waits until none of its runs goes on.
    void remove(const std::string &name);

    /// The same for a job of a run whose driver is gone; false when there is none.
    bool take_over(const std::string &name);

    /// The same for every job of ours; errors go to stderr. The destructor does so too.
    void remove_all() noexcept;

    /// The last failed runs of our jobs, in words.
    std::vector<std::string> failures();

    const std::string &version() const { return version_; }

private:
    void stop_runs(const std::string &job_id);
    Rows signal_runs(const std::string &function, const std::string &job_id);
    std::string job_ids() const;

    Database &database_;
    std::string schema_;
    std::string version_;
    bool seconds_ = false;
    std::map<std::string, std::string> jobs_; ///< name -> job id
    std::map<std::string, std::string> past_; ///< those that were removed: their runs can still be asked for
};

} // namespace fairq::driver::db
