// What the verbs share among themselves, and with ticks and metrics. All of it is called inside with_spi().
#pragma once

#include "core/backoff.hpp"
#include "core/between.hpp"
#include "core/histogram.hpp"
#include "core/limits.hpp"
#include "core/rate.hpp"
#include "core/rotation.hpp"
#include "core/schedule.hpp"
#include "core/skip_ranges.hpp"
#include "pg/errors.hpp"
#include "pg/settings.hpp"
#include "pg/spi.hpp"
#include "pg/transaction.hpp"
#include "queue/queue.hpp"
#include "shared/counters.hpp"
#include "shared/ring/queued_counts.hpp"
#include "shared/ring/ring.hpp"
#include "tables/live_columns.hpp"
#include "tables/live_table.hpp"
#include "tables/oldest.hpp"

// The columns that job_live and job_history share before the status and after it, in two runs around it.
#define FAIRQ_BEFORE_STATUS                                                                                  \
    "id, queue, tenant_id, job_type, priority, run_at, max_attempts, timeout, idempotency_key, "             \
    "concurrency_key, run_id, stage, created_at, payload"
#define FAIRQ_AFTER_STATUS "attempts, locked_by, locked_at, lock_token"
// A job's place in its lane, as core::lane_key() makes it of its priority and position.
#define FAIRQ_PLACE(position)                                                                                \
    "least(priority * 281474976710656 + least(greatest(" position ", 0), 281474976710655), "                 \
    "9223372036854775806)"

// The queues that have jobs in lanes: with them the lane index finds the jobs of a tenant in all of its lanes. One descent
// of the index for each queue.
#define FAIRQ_QUEUES                                                                                         \
    "ARRAY(WITH RECURSIVE q (queue) AS ("                                                                    \
    "(SELECT l.queue FROM @job_live l WHERE l.position IS NOT NULL ORDER BY l.queue LIMIT 1) UNION ALL "     \
    "SELECT (SELECT l.queue FROM @job_live l WHERE l.position IS NOT NULL AND l.queue > q.queue "            \
    "ORDER BY l.queue LIMIT 1) FROM q WHERE q.queue IS NOT NULL) SELECT queue FROM q WHERE queue IS NOT "    \
    "NULL)"

// For a statement whose CTE `into` takes over all rows of the CTE `from`: a row that begins with NULL when it did
// not, and seven columns (see refuse_swallowed()).
#define FAIRQ_SWALLOWED(from, into)                                                                          \
    "UNION ALL SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL WHERE (SELECT count(*) FROM " from            \
    ") <> (SELECT count(*) FROM " into ")"

namespace fairq::queue {

// The arrays of a bulk enqueue, all of one length. payloads: jsonb[] or NULL; keys and concurrency_keys: text[] or
// NULL.
struct BulkArrays {
    size_t count;
    pg::Value tenants, payloads, keys, concurrency_keys;
};

pg::Value array_of(OnlyTenants tenants); // text[]; NULL: all
// From when on finished jobs are looked for by their ids.
inline pg::Value since_recently() {
    return pg::of_time(pg::now() - core::kRecent);
}

// ------------------------------------------------------------------------------------------ housekeeping.cpp

// How much housekeeping a claim, a wait or a tick does.
struct HousekeepingRequest {
    int max_jobs;                       // that may be promoted
    OnlyTenants only_tenants = nullptr; // whose jobs and leases may be touched; null: all
    bool in_bulk = false; // a tick: all stale leases, runs and partitions at once; else a sweep a second
};
struct Housekept {
    int64 promoted = 0;
    bool more_due = false;           // there may be more due jobs
    bool swept = false;              // it was time for the sweep of stale leases and parked jobs
    std::vector<std::string> errors; // of the steps that failed: "name of the step: message"
};
// How a step is run whose error must not undo the rest: in a subtransaction, or in a transaction of its own. Returns
// the error.
using AroundStep = std::function<std::optional<pg::ErrorText>(const std::function<void()> &step)>;
std::optional<pg::ErrorText> in_subtransaction(const std::function<void()> &step);
// An error in it is logged and counted, and does not fail the call that it rides on.
Housekept housekeeping(const HousekeepingRequest &request, const AroundStep &around = in_subtransaction);
// Of a tick's own step: logs and counts the error, and says it as Housekept::errors do.
enum class Chore {
    promote,
    reclaim,
    park,
    unpark,
    advance,
    redrive,
    fold,
    partitions,
    heartbeat,
    fail,
    claim
};
std::string reported(Chore chore, const pg::ErrorText &error);
Oid scope_of(OnlyTenants only); // of the sweeps in shared/queue_state.hpp

// ------------------------------------------------------------------------------------------ partitions.cpp

void make_partitions();       // a part of a tick's housekeeping
void keep_partitions_ahead(); // a part of a claim's: a process of its own makes them, for DDL would hold up others
void ensure_partition();      // for a job that finishes now, before its row is written by a statement

// ------------------------------------------------------------------------------------------ keys.cpp

// Tenant and concurrency key of jobs that have ended, or ended an attempt: in the same transaction, the next
// job of each key goes back into its lane.
using FreedKeys = std::vector<std::pair<std::string, std::string>>;
void free_keys(FreedKeys keys);
// Parked jobs whose key is free, or whose type is not paused any more: for the housekeeping, in bounded
// steps. Returns whether there may be more.
bool unpark(OnlyTenants only = nullptr);
void unpark_type(std::string_view type);        // the first of its jobs
const std::vector<std::string> &paused_types(); // sorted

// ------------------------------------------------------------------------------------------ finish.cpp

// Moves only the rows: the caller tells counters, keys and runs. error: text; NULL keeps the error that a job has.
// Returns the jobs that it has moved: a user's trigger may have kept the rest.
Ids move_rows_to_history(const Ids &jobs, JobStatus status, const pg::Value &error);

// ------------------------------------------------------------------------------------------ lease.cpp

// Runs a heartbeat's statement, and returns how many jobs are still held.
struct Beat {
    enum Column { jobs = 1, swallowed }; // was the lease there, but not changed?
};
int32 beat(const std::function<pg::Rows()> &statement);

// ------------------------------------------------------------------------------------------ pipeline.cpp

// The status of a new job of that stage: `ready` when it is the
// current one, else blocked. Raises when the run is not that of all these tenants (text[]), or has passed the
// stage.
JobStatus status_in_run(int64 run, int32 stage, const pg::Value &tenants, JobStatus ready);
void runs_started(const Ids &runs); // jobs of these runs were claimed
struct RunStage {
    int64 run;
    int32 stage;
};
void jobs_completed(std::vector<RunStage> stages);
void run_failed(int64 run, int64 job_id, JobStatus how); // that job is dead, or cancelled
Ids busy_runs(const Ids &runs);                          // locks those that it does not return

// ------------------------------------------------------------------------------------------ counting.cpp

// What a statement that moves jobs returns: a row for each old status, or for each lane and priority, with the number of the
// old status in job_status, and the first and the last place in the lane of jobs that became queued.
struct Moves {
    enum Column { old_status = 1, jobs, load_test_jobs, tenant, queue, first_place, last_place };
};
// Tells the counters what a statement moved and returns the number of jobs.
int64 count_moves(const pg::Rows &rows, std::optional<JobStatus> to);
Ids ids_in(const pg::Rows &rows); // the values of the first column
// Raises when a statement's last row is that of FAIRQ_SWALLOWED, for the table that did not take all rows.
void refuse_swallowed(const pg::Rows &rows, const char *table);
// As count_moves(), for jobs that became queued.
int64 count_into_lanes(const pg::Rows &rows);
// From two columns with the first and the last place (see FAIRQ_PLACE).
core::KeyRange range_in(const pg::Rows &rows, size_t row, int first_place);
// A verb that tells count_move() that jobs became queued, or are no longer queued, tells here their lane, and for new
// ones where in the lane they are (kEverywhere if the verb does not know it).
void lane_gained(core::LaneName lane, int64 jobs, core::KeyRange where = core::kEverywhere);
struct Placed {
    core::LaneName lane;
    core::LaneKey place;
};
void lanes_gained(std::vector<Placed> jobs);
void lane_lost(core::LaneName lane, int64 jobs);
// When this transaction commits, tells the ring and waiting sessions that the lane has jobs to claim.
void lane_filled(core::LaneName lane, int64 jobs = 1, core::KeyRange where = core::kEverywhere);
void count_move(std::optional<JobStatus> from, std::optional<JobStatus> to, int64 jobs, int64 load_test);

} // namespace fairq::queue
