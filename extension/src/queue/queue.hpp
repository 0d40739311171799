// The whole product on one page: what can be done with the queue. One verb a file. Every function works in
// the schema that pg::use_schema() named, in the caller's transaction, and raises the errors of
// pg/errors.hpp; nothing is half done.
#pragma once

#include "core/backoff.hpp"
#include "core/between.hpp"
#include "core/histogram.hpp"
#include "core/job_status.hpp"
#include "core/limits.hpp"
#include "core/rate.hpp"
#include "core/schedule.hpp"
#include "core/share.hpp"

#include "pg/counters.hpp"
#include "pg/errors.hpp"
#include "pg/handler_call.hpp"
#include "pg/live_columns.hpp"
#include "pg/live_table.hpp"
#include "pg/ring.hpp"
#include "pg/ring_depths.hpp"
#include "pg/settings.hpp"
#include "pg/spi.hpp"
#include "pg/tick_segment.hpp"
#include "pg/transaction.hpp"

namespace fairq::queue {

using Ids = std::vector<int64>;
using core::JobStatus;

// ------------------------------------------------------------------------------------------ enqueue.cpp

// What all jobs of one call have in common.
struct NewJobs {
    std::string_view job_type;
    int32 priority;
    std::optional<TimestampTz> run_at; // later than now: scheduled
    int32 max_attempts;
    Interval timeout;
    std::optional<int64> run_id; // of a pipeline; with a stage of it
    std::optional<int32> stage;
};
struct NewJob {
    std::string_view tenant;
    Datum payload;
    std::optional<std::string_view> key, concurrency_key;
};
int64 enqueue(const NewJobs &common, const NewJob &job);
// payloads: jsonb[] or NULL; keys and concurrency_keys: text[] or NULL; of the same length as tenants.
struct BulkArrays {
    size_t count;
    pg::Value tenants, payloads, keys, concurrency_keys;
};
Ids enqueue_all(const NewJobs &common, const BulkArrays &arrays);

// ------------------------------------------------------------------------------------------ claim.cpp

struct ClaimRequest {
    std::string_view worker;
    int max_jobs, tenant_cap;
    const pg::JobTypes &types;
    ReturnSetInfo *rows;                                    // where the claimed rows go, or null
    const std::vector<std::string> *only_tenants = nullptr; // null: all
};
struct Claim {
    int64 lock_token = 0;
    std::vector<pg::ClaimedJob> jobs;
    std::vector<std::string> lanes; // the tenants, numbered as ClaimedJob::lane
    std::vector<bool> capped;       // whether each has a cap
};
Claim claim(const ClaimRequest &request);
// Moves due scheduled jobs into their lanes; returns how many.
int64 promote(int max_jobs);

// ------------------------------------------------------------------------------------------ finish.cpp

Ids complete(Ids job_ids, int64 lock_token); // the accepted ones
JobStatus fail(int64 job_id, int64 lock_token, std::string_view error, bool retry);
int64 release(Ids job_ids, int64 lock_token, std::optional<TimestampTz> run_at);
bool cancel(int64 job_id);
int64 redrive(const pg::Value &tenant, const pg::Value &job_type, int max_jobs);

// ------------------------------------------------------------------------------------------ lease.cpp

int32 heartbeat(int64 lock_token);
int64 reclaim(int64 stale_after, int max_jobs); // microseconds
// What a claim does on the side: one stale lease, and some that have ended.
void sweep(int64 stale_after);
// Ends a lease whose worker is known to have gone: what it still holds goes back, or to dead.
int64 reclaim_lease(int64 lock_token);

// ------------------------------------------------------------------------------------------ limits.cpp

struct TenantLimits {
    int weight = 1;
    std::optional<int> max_concurrency;
    std::optional<core::Rate> rate, enqueue_rate;
    std::optional<int64> max_pending;
    bool paused = false, settling = false;
};
// A tenant's weight and limits, as of the last commit: a copy that this process keeps. Valid until the next
// call of this or of pending_is_used().
const TenantLimits &limits_of(std::string_view tenant);
bool pending_is_used(); // whether any tenant has a max_pending

// ------------------------------------------------------------------------------------------ keys.cpp

// Tenant and concurrency key of jobs that have ended, or ended an attempt: in the same transaction, the next
// job of each key goes back into its lane.
using FreedKeys = std::vector<std::pair<std::string, std::string>>;
void free_keys(FreedKeys keys);
// Parked jobs whose key is free, or whose type is not paused any more: for the housekeeping, in bounded
// steps.
void unpark();
int64 unpark_type(std::string_view type);       // one step
const std::vector<std::string> &paused_types(); // sorted

// ------------------------------------------------------------------------------------------ handlers.cpp

void register_handler(std::string_view job_type, Oid function);
bool unregister_handler(std::string_view job_type);
struct Handler {
    std::string job_type;
    pg::FunctionName function;
    std::optional<Oid> run_as; // none: the owner of the extension
};
// The handlers that a tick of this role may run: they exist, and the role may become the one they run as.
std::vector<Handler> runnable_handlers(Oid role);

// ------------------------------------------------------------------------------------------ tick.cpp,
// tick_process.cpp

std::string tick(int workers);                      // one tick's summary (JSON)
void ticks(int workers, int64 every, int64 during); // in a procedure; microseconds
void coordinate(pg::TickSegment &tick);             // process 0 of a tick
void work(pg::TickSegment &tick, int index);        // processes 1 … n

// ------------------------------------------------------------------------------------------ metrics.cpp,
// tenant_metrics.cpp, load_test.cpp

pg::Value queue_metrics(); // jsonb
void tenant_metrics(ReturnSetInfo *rows);
pg::Value load_test_metrics(); // jsonb
int64 seed_load_test(int total_jobs, int tenants);
int64 clear_load_test();

// ------------------------------------------------------------------------------------------ shared by the
// verbs

// Tells the counters what a statement moved (rows of: old status, jobs, load-test jobs) and returns the
// number of jobs.
int64 count_moves(const pg::Rows &rows, std::optional<JobStatus> to);
// The same for jobs that became queued; the tenant of each stands in column `tenants`, an array.
int64 count_into_lanes(const pg::Rows &rows, int tenants);
// Who says by count_move() that jobs became queued, or are so no more, says here whose they are.
void lane_gained(std::string_view tenant, int64 jobs);
void lanes_gained(std::vector<std::string> tenants); // one job each
void lane_lost(std::string_view tenant, int64 jobs);
// Tells the ring that the tenant has a job to claim, once this transaction commits.
void lane_filled(std::string_view tenant);
void count_move(std::optional<JobStatus> from, std::optional<JobStatus> to, int64 jobs, int64 load_test);

} // namespace fairq::queue
