// cron.cpp: see cron.hpp. Unscheduling a job does not stop a run that goes on, and a run may begin in the
// second in which the launcher has not yet heard of the unscheduling: stop_runs() waits for both.
#include "db/cron.hpp"

#include <chrono>
#include <cstdio>
#include <thread>

#include <fmt/format.h>

#include "errors.hpp"
#include "interrupt.hpp"

namespace fairq::driver::db {
namespace {

constexpr Milliseconds kMinute{60'000};
constexpr Milliseconds kInsideMinute{58'000}; // a CALL ends before the next minute's begins
constexpr long long kDefaultParallel = 4;     // of run_job_queue_parallel()
constexpr Milliseconds kLauncherHears{1'500}; // the launcher looks once a second
constexpr Milliseconds kStopPause{200};
constexpr Milliseconds kCancelPatience{5'000};
constexpr Milliseconds kStopPatience{15'000};
constexpr Milliseconds kReconnectPatience{30'000};

std::string tick_call(const plan::WorkerActor &worker, const std::string &schema) {
    if (worker.workers == 1)
        return fmt::format("SELECT {}.run_job_queue_cron()", schema);
    const std::string argument = worker.workers == kDefaultParallel ? "" : std::to_string(worker.workers);
    return fmt::format("SELECT {}.run_job_queue_parallel({})", schema, argument);
}

bool never() {
    return false;
}

} // namespace

bool cron_counts_seconds(const std::string &extension_version) {
    int major = 0;
    int minor = 0;
    return std::sscanf(extension_version.c_str(), "%d.%d", &major, &minor) == 2 && (major > 1 || minor >= 5);
}

CronJob make_cron_job(const plan::WorkerActor &worker, const std::string &schema, bool seconds) {
    const long long minutes = worker.every / kMinute;
    if (minutes == 1)
        return {worker.job, "* * * * *", tick_call(worker, schema)};
    if (minutes > 1)
        return {worker.job, fmt::format("*/{} * * * *", minutes), tick_call(worker, schema)};
    const long long every = worker.every.count() / 1000;
    if (seconds)
        return {worker.job, fmt::format("{} second{}", every, every == 1 ? "" : "s"),
                tick_call(worker, schema)};
    return {worker.job, "* * * * *",
            fmt::format("CALL {}.run_job_queue_ticks({}, {}, {})", schema, worker.workers,
                        sql_interval(worker.every), sql_interval(kInsideMinute))};
}

std::string schedule_statement(const CronJob &job) {
    return fmt::format("SELECT cron.schedule('{}', '{}', $$ {} $$);", job.name, job.schedule, job.command);
}

CronJobs::~CronJobs() {
    remove_all();
}

void CronJobs::check(const plan::Plan &plan) {
    const Cell version = database_.scalar("SELECT extversion FROM pg_extension WHERE extname = 'pg_cron'");
    if (!version)
        throw SetupError(
            "pg_cron is not in this database: run CREATE EXTENSION pg_cron in it (one database of a server "
            "can have it: cron.database_name)");
    version_ = *version;
    seconds_ = cron_counts_seconds(version_);
    if (database_.scalar("SELECT current_setting('cron.log_run', true)") == Cell("off"))
        throw SetupError(
            "cron.log_run is off: without the log of runs the driver can neither stop nor explain them");
    for (const plan::Phase &phase : plan.phases)
        for (const plan::WorkerActor &worker : phase.workers)
            if (worker.kind == plan::WorkerKind::cron &&
                database_.scalar("SELECT jobid FROM cron.job WHERE jobname = $1", {worker.job}))
                throw SetupError(fmt::format("a cron job {0} is there already; when it is not needed: SELECT "
                                             "cron.unschedule('{0}');",
                                             worker.job));
}

void CronJobs::schedule(const plan::WorkerActor &worker) {
    const auto run = [&] {
        const CronJob job = make_cron_job(worker, schema_, seconds_);
        // Ours from now on: a call without an answer may have happened. The same name again replaces the job.
        jobs_.try_emplace(worker.job);
        jobs_[worker.job] = database_.scalar(schedule_statement(job)).value_or("");
    };
    try {
        with_reconnect(kReconnectPatience, interrupted, run);
    } catch (const DatabaseError &error) {
        if (error.connection_lost() || !seconds_)
            throw;
        seconds_ = false; // the library is older than its extension script
        with_reconnect(kReconnectPatience, interrupted, run);
    }
}

void CronJobs::remove(const std::string &name) {
    const auto found = jobs_.find(name);
    if (found == jobs_.end())
        return;
    std::string id = found->second;
    with_reconnect(kReconnectPatience, never, [&] {
        const Cell removed = database_.scalar("SELECT jobid, cron.unschedule(jobid) FROM cron.job "
                                              "WHERE jobname = $1 AND username = current_user",
                                              {name});
        id = removed.value_or(id);
    });
    jobs_.erase(name);
    if (id.empty())
        return; // it never was there
    past_[name] = id;
    with_reconnect(kReconnectPatience, never, [&] { stop_runs(id); });
}

bool CronJobs::take_over(const std::string &name) {
    if (!database_.scalar("SELECT to_regclass('cron.job')"))
        return false;
    const Cell id =
        database_.scalar("SELECT jobid FROM cron.job WHERE jobname = $1 AND username = current_user "
                         "AND command ~ 'run_job_queue_(cron|parallel|ticks)'",
                         {name});
    if (!id)
        return false;
    jobs_[name] = *id;
    remove(name);
    return true;
}

Rows CronJobs::signal_runs(const std::string &function, const std::string &job_id) {
    // A run's row stays open when the server crashes: the activity view says whether its process is there.
    return database_.query(fmt::format(R"(
        SELECT {}(d.job_pid) FROM cron.job_run_details d JOIN pg_stat_activity a ON a.pid = d.job_pid
         WHERE d.jobid = $1::bigint AND d.end_time IS NULL AND a.datname = d.database AND a.pid <> pg_backend_pid()
           AND a.backend_start BETWEEN d.start_time - interval '1 minute' AND d.start_time + interval '1 minute')",
                                       function),
                           {job_id});
}

void CronJobs::stop_runs(const std::string &job_id) {
    const auto start = std::chrono::steady_clock::now();
    while (true) {
        const auto waited =
            std::chrono::duration_cast<Milliseconds>(std::chrono::steady_clock::now() - start);
        const bool gone =
            signal_runs(waited < kCancelPatience ? "pg_cancel_backend" : "pg_terminate_backend", job_id)
                .empty();
        if (gone && waited >= kLauncherHears)
            return;
        if (waited > kStopPatience)
            throw SetupError(fmt::format("a run of cron job {} does not stop", job_id));
        std::this_thread::sleep_for(kStopPause);
    }
}

void CronJobs::remove_all() noexcept {
    while (!jobs_.empty()) {
        const std::string name = jobs_.begin()->first;
        try {
            remove(name);
        } catch (const std::exception &error) {
            std::fprintf(stderr, "fairq: could not take away cron job %s: %s\n", name.c_str(), error.what());
            jobs_.erase(name);
        }
    }
}

std::string CronJobs::job_ids() const {
    std::vector<std::string> ids;
    for (const auto *jobs : {&jobs_, &past_})
        for (const auto &[name, id] : *jobs)
            ids.push_back(id);
    return array_literal(ids);
}

std::vector<std::string> CronJobs::failures() {
    std::vector<std::string> texts;
    for (const Row &row : database_.query(R"(
        SELECT to_char(start_time, 'HH24:MI:SS'), left(command, 60), return_message FROM cron.job_run_details
         WHERE jobid = ANY($1::bigint[]) AND status = 'failed' ORDER BY runid DESC LIMIT 5)",
                                          {job_ids()}))
        texts.push_back(fmt::format("{} {}: {}", row[0].value_or("?"), row[1].value_or("?"),
                                    row[2].value_or("no message")));
    return texts;
}

} // namespace fairq::driver::db
