// The whole product on one page: what can be done with the queue (limits.hpp: how it is limited). One verb a
// file. Every function works in the schema that pg::use_schema() named, in the caller's transaction, and
// raises the errors of pg/errors.hpp; nothing is half done.
#pragma once

#include "core/backoff.hpp"
#include "core/between.hpp"
#include "core/histogram.hpp"
#include "core/job_status.hpp"
#include "core/limits.hpp"
#include "core/rate.hpp"
#include "core/schedule.hpp"
#include "core/share.hpp"
#include "core/skip_ranges.hpp"
#include "pg/errors.hpp"
#include "pg/settings.hpp"
#include "pg/spi.hpp"
#include "pg/transaction.hpp"
#include "shared/counters.hpp"
#include "shared/ring/queued_counts.hpp"
#include "shared/ring/ring.hpp"
#include "tables/live_columns.hpp"
#include "tables/live_table.hpp"
#include "tables/oldest.hpp"
#include "ticks/handler_call.hpp"
#include "ticks/tick_segment.hpp"

namespace fairq::queue {

using Ids = std::vector<int64>;
using core::JobStatus;
using OnlyTenants = const std::vector<std::string> *; // sorted; null: all

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
// A tenant over its limits: an error (JQ002), or with `partial` 0 in place of the ids that did not fit.
Ids enqueue_all(const NewJobs &common, const BulkArrays &arrays, bool partial);

// ------------------------------------------------------------------------------------------ claim.cpp

struct ClaimRequest {
    std::string_view worker;
    int max_jobs, tenant_cap;
    const core::JobTypes &types;
    ReturnSetInfo *rows; // where the claimed rows go, or null
    OnlyTenants only_tenants = nullptr;
};
struct Claim {
    int64 lock_token = 0;
    std::vector<tables::ClaimedJob> jobs;
    std::vector<std::string> lanes;    // the tenants, numbered as ClaimedJob::lane
    std::vector<bool> capped;          // whether each has a cap
    bool busy = false;                 // somebody had the lock of a tenant
    int parked = 0, visited = 0;       // jobs that stood in the way, lanes that were asked
    bool stopped = false;              // because these, or their entries, were enough, not for want of more
    TimestampTz opens_at = DT_NOEND;   // when a rate that kept jobs back lets the next one through
    bool needs_durable_commit = false; // more hangs on it than jobs that would be queued again
};
Claim claim(const ClaimRequest &request);
int64 promote(int max_jobs, OnlyTenants only = nullptr); // moves due jobs into their lanes; returns how many

// ------------------------------------------------------------------------------------------ finish.cpp

Ids complete(Ids job_ids, int64 lock_token); // the accepted ones
JobStatus fail(int64 job_id, int64 lock_token, std::string_view error, bool retry);
int64 release(Ids job_ids, int64 lock_token, std::optional<TimestampTz> run_at);
bool cancel(int64 job_id);
int64 redrive(const pg::Value &tenant, const pg::Value &job_type, int max_jobs);

// ------------------------------------------------------------------------------------------ worker.cpp

// A claim whose commit need not wait for the disk, where it may be lost in a crash.
Claim claim_for_worker(const ClaimRequest &request);
// Completes the allowed ones of the jobs, and warns (JQ001) of all that were not accepted.
void complete_or_warn(Ids job_ids, const Ids &allowed, int64 lock_token);

// ------------------------------------------------------------------------------------------ lease.cpp

int32 heartbeat(int64 lock_token);
int64 reclaim(int64 stale_after, int max_jobs); // microseconds
// What a claim does on the side: one stale lease, and some that have ended.
void sweep(int64 stale_after, OnlyTenants only = nullptr);
// Ends a lease whose worker is known to have gone: what it still holds goes back, or to dead.
int64 reclaim_lease(int64 lock_token);

// ------------------------------------------------------------------------------------------ pipeline.cpp

int64 create_run(std::string_view tenant, std::string_view name);
// Does the next step of one run that somebody has left something of; false when there is none.
bool advance_runs(int max_jobs, OnlyTenants only = nullptr);

// ------------------------------------------------------------------------------------------ why.cpp

// Why a job is not running: one reason, and its figures (JSON). Judged by the code that claims judge by;
// changes and locks nothing. Of all tenants, it also tells what the others' jobs have to do with it.
std::string why_not_running(int64 job_id, OnlyTenants only_tenants);

// ------------------------------------------------------------------------------------------ handlers.cpp

void register_handler(std::string_view job_type, Oid function);
bool unregister_handler(std::string_view job_type);
struct Handler {
    std::string job_type;
    ticks::FunctionName function;
    std::optional<Oid> run_as; // none: the owner of the extension
};
// The handlers that a tick of this role may run: they exist, and the role may become the one they run as.
std::vector<Handler> runnable_handlers(Oid role);

// ------------------------------------------------------------------------------------------ tick*.cpp

std::string tick(int workers);                      // one tick's summary (JSON)
void ticks(int workers, int64 every, int64 during); // in a procedure; microseconds
void coordinate(ticks::TickSegment &tick);          // process 0 of a tick
void work(ticks::TickSegment &tick, int index);     // processes 1 … n

// ------------------------------------------------------------------------------------------ metrics

pg::Value queue_metrics(); // jsonb
// A row each; `of`: those alone, without what would tell of others.
void tenant_metrics(ReturnSetInfo *rows, const std::optional<std::vector<std::string>> &of);
pg::Value load_test_metrics(); // jsonb
int64 seed_load_test(int total_jobs, int tenants);
int64 clear_load_test();

} // namespace fairq::queue

#include "queue/internal.hpp"
