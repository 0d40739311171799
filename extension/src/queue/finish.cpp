// How an attempt ends, and a job (complete, fail, release, cancel), and how a dead job begins anew (redrive). The first three
// take effect only while the job carries the lease's token. Cancel needs no token: it ends the job whether it waits or a
// worker runs it. Redrive needs none, because no lease holds a dead job.
#include "queue/failures.hpp"
#include "queue/limits.hpp"
#include "queue/wait.hpp"
#include "tables/complete_rows.hpp"
#include "tables/leases.hpp"

namespace fairq::queue {

namespace {

// SQL is laid out by hand.
// clang-format off

// ids, token, now → id, load test?, tenant, concurrency key, run, stage, how many came into history, queue. The lease is
// deleted if the call completes all its jobs; SKIP LOCKED, because a call must not wait for a lease while it has jobs locked
// (docs/architecture.md, Locks): a lease that stays is deleted by a sweep later.
const pg::Statement kComplete{pg::Plan::pinned, R"(
WITH gone AS (
    DELETE FROM @job_live j USING unnest($1) AS a (id) WHERE j.id = a.id AND j.lock_token = $2 RETURNING j.*
), ended AS (
    DELETE FROM @job_leases
     WHERE lock_token = (SELECT l.lock_token FROM @job_leases l
                          WHERE l.lock_token = $2 AND cardinality(l.job_ids) = (SELECT count(*) FROM gone)
                            FOR UPDATE SKIP LOCKED)
), kept AS (
    INSERT INTO @job_history ()" FAIRQ_BEFORE_STATUS R"(, status, )" FAIRQ_AFTER_STATUS R"(, last_error, finished_at)
    SELECT )" FAIRQ_BEFORE_STATUS R"(, 'completed', )" FAIRQ_AFTER_STATUS R"(, last_error, $3 FROM gone
    RETURNING id
)
SELECT id, job_type = 'load_test', tenant_id, concurrency_key, run_id, stage, (SELECT count(*) FROM kept), queue FROM gone)", {INT8ARRAYOID, INT8OID, TIMESTAMPTZOID}};
struct Completed {
    enum Column { id = 1, load_test, tenant, concurrency_key, run, stage, moved, queue };
};

// token, number of jobs completed by this call: deletes the lease if it had no others. SKIP LOCKED as above. For a
// job_leases that is not as the script made it, and for a lease that another transaction has locked or changed just
// now
const pg::Statement kEndWholeLease{pg::Plan::pinned, R"(
DELETE FROM @job_leases
 WHERE lock_token = (SELECT lock_token FROM @job_leases
                      WHERE lock_token = $1 AND cardinality(job_ids) = $2 FOR UPDATE SKIP LOCKED))", {INT8OID, INT8OID}};

// id → status, attempts, max_attempts, load test?, token, tenant, concurrency key, run, place (NULL: in no lane), queue;
// locks the row
const pg::Statement kLockJob{pg::Plan::pinned, R"(
SELECT array_position(enum_range(NULL::@job_status), status) - 1, attempts, max_attempts, job_type = 'load_test',
       lock_token, tenant_id, concurrency_key, run_id,
       CASE WHEN position IS NOT NULL THEN )" FAIRQ_PLACE("position") R"( END, queue
  FROM @job_live WHERE id = $1 FOR UPDATE)", {INT8OID}};
struct LockJob {
    enum Column { status = 1, attempts, max_attempts, load_test, lock_token, tenant, concurrency_key, run, place, queue };
};

// id, since when
const pg::Statement kIsInHistory{pg::Plan::by_values, "SELECT FROM @job_history WHERE id = $1 AND finished_at >= $2 LIMIT 1", {INT8OID, TIMESTAMPTZOID}};

// id, due, error, now
const pg::Statement kBackOff{pg::Plan::pinned, R"(
UPDATE @job_live
   SET status = 'scheduled', due_at = $2, run_at = $2, position = NULL, locked_by = NULL, locked_at = NULL,
       lock_token = NULL, held_key = NULL, running_since = NULL, running_position = NULL, last_error = $3, updated_at = $4
 WHERE id = $1)", {INT8OID, TIMESTAMPTZOID, TEXTOID, TIMESTAMPTZOID}};

// ids, final status, error (NULL: keep), now → id, how many came into history
const pg::Statement kMoveToHistory{pg::Plan::pinned, R"(
WITH gone AS (
    DELETE FROM @job_live j USING unnest($1) AS a (id) WHERE j.id = a.id RETURNING j.*
), kept AS (
    INSERT INTO @job_history ()" FAIRQ_BEFORE_STATUS R"(, status, )" FAIRQ_AFTER_STATUS R"(, last_error, finished_at)
    SELECT )" FAIRQ_BEFORE_STATUS R"(, $2::@job_status, )" FAIRQ_AFTER_STATUS R"(, coalesce($3, last_error), $4 FROM gone
    RETURNING id
)
SELECT id, (SELECT count(*) FROM kept) FROM gone)", {INT8ARRAYOID, TEXTOID, TEXTOID, TIMESTAMPTZOID}};
struct Moved {
    enum Column { id = 1, moved };
};

// ids, token, now, run_at (NULL: to its old place at once) → a row for each lane and priority: also its names,
// the concurrency keys, the first and the last place
const pg::Statement kRelease{pg::Plan::pinned, R"(
WITH moved AS (
    UPDATE @job_live j
       SET status = CASE WHEN $4 IS NULL THEN 'queued'::@job_status ELSE 'scheduled' END,
           position = CASE WHEN $4 IS NULL THEN coalesce(position, running_position) END, running_position = NULL, due_at = $4, run_at = coalesce($4, run_at),
           attempts = attempts - 1, locked_by = NULL, locked_at = NULL, lock_token = NULL, held_key = NULL,
           running_since = NULL, updated_at = $3
      FROM unnest($1) AS a (id)
     WHERE j.id = a.id AND j.lock_token = $2
    RETURNING j.job_type, j.queue, j.tenant_id, j.priority, j.concurrency_key, )" FAIRQ_PLACE("j.position") R"( AS place
), ended AS (
    DELETE FROM @job_leases
     WHERE lock_token = (SELECT l.lock_token FROM @job_leases l
                          WHERE l.lock_token = $2 AND cardinality(l.job_ids) = (SELECT count(*) FROM moved)
                            FOR UPDATE SKIP LOCKED)
)
SELECT 3, count(*), count(*) FILTER (WHERE job_type = 'load_test'), tenant_id, queue, min(place), max(place),
       array_agg(concurrency_key) FILTER (WHERE concurrency_key IS NOT NULL)
  FROM moved GROUP BY queue, tenant_id, priority)", {INT8ARRAYOID, INT8OID, TIMESTAMPTZOID, TIMESTAMPTZOID}};
struct Release : Moves {
    enum Column { concurrency_keys = last_place + 1 };
};

// tenant or NULL, type or NULL, behind which id, how many, since when they are dead → ids of dead jobs; locks them
const pg::Statement kDeadJobs{pg::Plan::by_values, R"(
SELECT id FROM @job_history
 WHERE status = 'dead' AND finished_at >= $5 AND ($1 IS NULL OR tenant_id = $1) AND ($2 IS NULL OR job_type = $2) AND id > $3
 ORDER BY id LIMIT $4 FOR UPDATE SKIP LOCKED)", {TEXTOID, TEXTOID, INT8OID, INT4OID, TIMESTAMPTZOID}};

// ids, now, since when they are dead → a row for each lane and priority: also its names, the first and the last place
const pg::Statement kRedrive{pg::Plan::by_values, R"(
WITH gone AS (
    DELETE FROM @job_history h USING unnest($1) AS a (id)
     WHERE h.id = a.id AND h.status = 'dead' AND h.finished_at >= $3 RETURNING h.*
), moved AS (
    INSERT INTO @job_live (id, queue, tenant_id, job_type, status, priority, payload, run_at, max_attempts, timeout,
                           idempotency_key, concurrency_key, run_id, stage, last_error, created_at, updated_at, position)
    SELECT id, queue, tenant_id, job_type, 'queued', priority, payload, run_at, max_attempts, timeout, idempotency_key,
           concurrency_key, run_id, stage, last_error, created_at, $2, nextval('@job_live_id_seq')
      FROM gone ORDER BY id
    RETURNING queue, tenant_id, priority, job_type, )" FAIRQ_PLACE("position") R"( AS place
)
SELECT 5, count(*), count(*) FILTER (WHERE job_type = 'load_test'), tenant_id, queue, min(place), max(place)
  FROM moved GROUP BY queue, tenant_id, priority
)" FAIRQ_SWALLOWED("gone", "moved"), {INT8ARRAYOID, TIMESTAMPTZOID, TIMESTAMPTZOID}};

// clang-format on

using CompletedJobs = std::vector<tables::CompletedJob>;

void sort_unique(Ids &ids) {
    std::sort(ids.begin(), ids.end());
    ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
}

// An empty list when the job has no key.
FreedKeys key_in(const pg::Rows &rows) {
    if (rows.is_null(0, LockJob::concurrency_key))
        return {};
    return {{rows.text_at(0, LockJob::tenant), rows.text_at(0, LockJob::concurrency_key)}};
}

struct LockedJob {
    JobStatus status;
    int32 attempts, max_attempts;
    bool load_test;
    int64 lock_token, run; // 0: none
    std::string tenant;
    FreedKeys key;                      // its own, if it has one
    std::optional<core::LaneKey> place; // none: in no lane
    std::string queue;
    core::LaneName lane() const { return {queue, tenant}; }
};

// Locks the unfinished job, or returns none.
std::optional<LockedJob> lock_job(int64 id) {
    pg::Rows const rows = pg::execute(kLockJob, {pg::of(id)});
    if (rows.empty())
        return std::nullopt;
    return LockedJob{static_cast<JobStatus>(rows.int32_at(0, LockJob::status)),
                     rows.int32_at(0, LockJob::attempts),
                     rows.int32_at(0, LockJob::max_attempts),
                     rows.bool_at(0, LockJob::load_test),
                     rows.is_null(0, LockJob::lock_token) ? 0 : rows.int64_at(0, LockJob::lock_token),
                     rows.is_null(0, LockJob::run) ? 0 : rows.int64_at(0, LockJob::run),
                     rows.text_at(0, LockJob::tenant),
                     key_in(rows),
                     rows.is_null(0, LockJob::place) ? std::nullopt
                                                     : std::optional(rows.int64_at(0, LockJob::place)),
                     rows.text_at(0, LockJob::queue)};
}

bool is_in_history(int64 id) {
    return !pg::execute(kIsInHistory, {pg::of(id), since_recently()}).empty();
}

// The job is dead or cancelled, so its pipeline run fails.
void move_to_history(int64 id, const LockedJob &job, JobStatus status, const pg::Value &error) {
    if (move_rows_to_history({id}, status, error).empty())
        pg::raise_row_swallowed("job_live");
    count_move(job.status, status, 1, job.load_test ? 1 : 0);
    if (job.status == JobStatus::queued)
        lane_lost(job.lane(), 1);
    // If this transaction also claims, it removes the lane that is now empty from the ring; if it then rolls back,
    // the job is claimable again.
    if (job.status == JobStatus::queued && job.place)
        shared::ring::activate_at_abort(tables::live_table_oid(pg::schema()), job.lane(),
                                        core::range_of(*job.place));
    if (job.status == JobStatus::locked)
        slot_freed(job.lane());
    free_keys(job.key);
    if (job.run != 0)
        run_failed(job.run, id, status);
}

CompletedJobs complete_by_executor(const Ids &job_ids, int64 lock_token, TimestampTz now) {
    ensure_partition();
    pg::Rows const rows = pg::execute(kComplete, {pg::of(job_ids), pg::of(lock_token), pg::of_time(now)});
    CompletedJobs completed;
    for (size_t row = 0; row < rows.size(); ++row) {
        tables::CompletedJob job{rows.int64_at(row, Completed::id),
                                 rows.bool_at(row, Completed::load_test),
                                 rows.text_at(row, Completed::queue),
                                 rows.text_at(row, Completed::tenant),
                                 std::nullopt,
                                 0,
                                 0};
        if (!rows.is_null(row, Completed::concurrency_key))
            job.key = rows.text_at(row, Completed::concurrency_key);
        if (!rows.is_null(row, Completed::run))
            job.run = rows.int64_at(row, Completed::run), job.stage = rows.int32_at(row, Completed::stage);
        completed.push_back(std::move(job));
    }
    if (!rows.empty() && static_cast<size_t>(rows.int64_at(0, Completed::moved)) != rows.size())
        pg::raise_row_swallowed("job_history");
    return completed;
}

int64 redrive_jobs(const Ids &jobs, TimestampTz dead_since) {
    pg::Rows const moves =
        pg::execute(kRedrive, {pg::of(jobs), pg::of_time(pg::now()), pg::of_time(dead_since)});
    refuse_swallowed(moves, "job_live");
    int64 const redriven = count_into_lanes(moves);
    pending_moved(moves, +1);
    return redriven;
}

// Moves the jobs that carry the token to history, and deletes the lease if these were all its jobs.
CompletedJobs move_completed(const Ids &job_ids, int64 lock_token) {
    TimestampTz const now = pg::now();
    std::optional<CompletedJobs> completed =
        tables::complete_directly(pg::schema(), job_ids, lock_token, now);
    if (!completed)
        return complete_by_executor(job_ids, lock_token, now);
    auto const jobs = static_cast<int64>(completed->size());
    if (jobs > 0 && !tables::end_lease(pg::schema(), lock_token, jobs))
        pg::execute(kEndWholeLease, {pg::of(lock_token), pg::of(jobs)});
    return *std::move(completed);
}

} // namespace

Ids move_rows_to_history(const Ids &jobs, JobStatus status, const pg::Value &error) {
    ensure_partition();
    pg::Rows const rows =
        pg::execute(kMoveToHistory, {pg::of(jobs), pg::of(std::string_view(core::name_of(status))), error,
                                     pg::of_time(pg::now())});
    if (!rows.empty() && static_cast<size_t>(rows.int64_at(0, Moved::moved)) != rows.size())
        pg::raise_row_swallowed("job_history");
    return ids_in(rows);
}

Ids complete(Ids job_ids, int64 lock_token) {
    sort_unique(job_ids);
    return pg::with_spi([&] {
        Ids accepted;
        std::vector<RunStage> stages;
        int64 load_test = 0;
        FreedKeys keys;
        CompletedJobs jobs = move_completed(job_ids, lock_token);
        accepted.reserve(jobs.size());
        bool const limited = limits_are_used();
        for (tables::CompletedJob &job : jobs) {
            accepted.push_back(job.id);
            load_test += job.load_test ? 1 : 0;
            if (limited)
                slot_freed({job.queue, job.tenant});
            if (job.key)
                keys.emplace_back(std::move(job.tenant), *std::move(job.key));
            if (job.run != 0)
                stages.push_back({job.run, job.stage});
        }
        count_move(JobStatus::locked, JobStatus::completed, static_cast<int64>(accepted.size()), load_test);
        free_keys(std::move(keys));
        if (!stages.empty())
            jobs_completed(std::move(stages));
        return accepted;
    });
}

JobStatus fail(int64 job_id, int64 lock_token, std::string_view error, bool retry) {
    pg::Value const text = pg::of(pg::clip(error, core::kMaxErrorBytes));
    return pg::with_spi([&] {
        std::optional<LockedJob> const job = lock_job(job_id);
        if (!job && !is_in_history(job_id))
            pg::raise_unknown_job(job_id);
        if (!job || job->lock_token != lock_token)
            pg::raise_lease_lost(job_id, lock_token);
        if (!retry || job->attempts >= job->max_attempts) {
            move_to_history(job_id, *job, JobStatus::dead, text);
            return JobStatus::dead;
        }
        TimestampTz const now = pg::now();
        int64 const delay = core::backoff_delay(job->attempts, pg::settings::backoff_base(),
                                                pg::settings::backoff_max(), pg::random_bits());
        pg::execute_all(kBackOff, "job_live", 1,
                        {pg::of(job_id), pg::of_time(now + delay), text, pg::of_time(now)});
        pending_moved({job_id}, +1);
        count_move(JobStatus::locked, JobStatus::scheduled, 1, job->load_test ? 1 : 0);
        slot_freed(job->lane());
        job_due(now + delay);
        free_keys(job->key);
        return JobStatus::scheduled;
    });
}

int64 release(Ids job_ids, int64 lock_token, std::optional<TimestampTz> run_at) {
    sort_unique(job_ids);
    TimestampTz const now = pg::now();
    bool const later = run_at && *run_at > now;
    return pg::with_spi([&] {
        pg::Rows const moved = pg::execute(kRelease, {pg::of(job_ids), pg::of(lock_token), pg::of_time(now),
                                                      later ? pg::of_time(*run_at) : pg::Value{}});
        int64 const released = later ? count_moves(moved, JobStatus::scheduled) : count_into_lanes(moved);
        for (size_t row = 0; !later && row < moved.size(); ++row)
            slot_freed_for_itself({moved.text_at(row, Release::queue), moved.text_at(row, Release::tenant)});
        FreedKeys keys;
        for (size_t row = 0; later && row < moved.size(); ++row) { // else it is itself the next of its key
            slot_freed({moved.text_at(row, Release::queue), moved.text_at(row, Release::tenant)});
            for (std::string const &key : moved.texts_at(row, Release::concurrency_keys))
                keys.emplace_back(moved.text_at(row, Release::tenant), key);
        }
        if (later)
            job_due(*run_at);
        pending_moved(moved, +1);
        free_keys(std::move(keys));
        return released;
    });
}

bool cancel(int64 job_id) {
    return pg::with_spi([&] {
        std::optional<LockedJob> const job = lock_job(job_id);
        if (job && job->status != JobStatus::locked)
            pending_moved({job_id}, -1);
        if (job)
            move_to_history(job_id, *job, JobStatus::cancelled, pg::Value{});
        else if (!is_in_history(job_id))
            pg::raise_unknown_job(job_id);
        return job.has_value();
    });
}

// As many as the caller's statement_timeout has time for. A job that cannot be queued stays dead, and the others are
// queued; if there are no others, the caller gets its error.
int64 redrive(const pg::Value &tenant, const pg::Value &job_type, int max_jobs, TimestampTz dead_since) {
    return pg::with_spi([&] {
        core::Budget budget = budget_of_caller(max_jobs);
        Apart apart(Chore::redrive, Subject::job, budget);
        int64 redriven = 0, behind = 0;
        while (!budget.spent(pg::monotonic_now())) {
            pg::check_interrupts();
            int const most = budget.chunk();
            int64 const began = pg::monotonic_now();
            Ids const dead = ids_in(pg::execute(
                kDeadJobs, {tenant, job_type, pg::of(behind), pg::of(int32{most}), pg::of_time(dead_since)}));
            int64 const some = apart.run(
                dead, [&](const Ids &jobs) { return redrive_jobs(jobs, dead_since); }, same);
            redriven += some;
            budget.used(static_cast<int>(some), began, pg::monotonic_now());
            if (dead.size() < static_cast<size_t>(most))
                break;
            behind = dead.back();
        }
        if (redriven == 0 && apart.error())
            pg::raise_copied(*apart.error());
        return redriven;
    });
}

} // namespace fairq::queue
