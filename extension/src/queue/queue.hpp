// The whole product on one page: what can be done with the queue (limits.hpp: how it is limited; ticks/ticks.hpp: how
// handlers run inside the database; metrics/metrics.hpp: what operators ask). One group of verbs a file, with
// its SQL on top. Every function works in the schema that pg::use_schema() named, in the caller's transaction, and
// raises the errors of pg/errors.hpp; nothing is half done. Times and lengths of time are microseconds, as in
// int64_t.
#pragma once

#include "core/job_status.hpp"
#include "core/job_types.hpp"
#include "core/lane_name.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

struct ReturnSetInfo;

namespace fairq::pg {
struct Value;
}
namespace fairq::tables {
struct ClaimedJob;
}

namespace fairq::queue {

using core::JobStatus;
using std::int32_t, std::int64_t;
using Ids = std::vector<int64_t>;
using OnlyTenants = const std::vector<std::string> *; // sorted; null: all

// ------------------------------------------------------------------------------------------ enqueue.cpp

// What all jobs of one call have in common.
struct NewJobs {
    std::string_view queue, job_type;
    int32_t priority;
    std::optional<int64_t> run_at; // later than now: scheduled
    int32_t max_attempts;
    int64_t timeout;
    std::optional<int64_t> run_id; // of a pipeline; with a stage of it
    std::optional<int32_t> stage;
};
struct NewJob {
    std::string_view tenant;
    std::uintptr_t payload; // a datum: jsonb
    std::optional<std::string_view> key, concurrency_key;
};
int64_t enqueue(const NewJobs &common, const NewJob &job);
struct BulkArrays; // of one call, see internal.hpp
// A tenant over its limits: raises JQ002, or with `partial` returns 0 in place of the ids of jobs that did not fit.
Ids enqueue_all(const NewJobs &common, const BulkArrays &arrays, bool partial);

// ------------------------------------------------------------------------------------------ claim.cpp

struct ClaimRequest {
    std::string_view queue, worker;
    int max_jobs, tenant_cap;
    const core::JobTypes &types;
    ReturnSetInfo *rows; // where the claimed rows go, or null
    OnlyTenants only_tenants = nullptr;
};
struct Claim {
    int64_t lock_token = 0;
    std::vector<tables::ClaimedJob> jobs;
    std::vector<std::string> lanes;    // their tenants, numbered as ClaimedJob::lane; all are of one queue
    std::vector<bool> capped;          // whether each has a cap
    bool busy = false;                 // another session had the lock of a tenant
    int parked = 0, visited = 0;       // jobs that were parked, lanes that were asked and stay
    bool stopped = false;              // it came to its bound of lanes or index entries, so there may be more
    bool left_lane = false;            // it left a lane in the middle, because it had looked at many entries
    int64_t opens_at = INT64_MAX;      // when a rate that kept jobs back lets the next one through
    bool needs_durable_commit = false; // its loss in a crash would do harm, see worker.cpp
};
Claim claim(const ClaimRequest &request);

// ------------------------------------------------------------------------------------------ finish.cpp

Ids complete(Ids job_ids, int64_t lock_token); // the accepted ones
JobStatus fail(int64_t job_id, int64_t lock_token, std::string_view error, bool retry);
int64_t release(Ids job_ids, int64_t lock_token, std::optional<int64_t> run_at);
bool cancel(int64_t job_id);
// dead_since: jobs that died before it stay
int64_t redrive(const pg::Value &tenant, const pg::Value &job_type, int max_jobs, int64_t dead_since);

// ------------------------------------------------------------------------------------------ worker.cpp

// A claim whose commit need not wait for the disk, where it may be lost in a crash.
Claim claim_for_worker(const ClaimRequest &request);
// Completes those of the jobs that are also in `allowed`, and warns (JQ001) of all jobs that were not accepted.
void complete_or_warn(Ids job_ids, const Ids &allowed, int64_t lock_token);

// ------------------------------------------------------------------------------------------ lease.cpp

int32_t heartbeat(int64_t lock_token);
int64_t reclaim(int64_t stale_after, int max_jobs); // microseconds; also jobs that lately could not be moved
// A part of a claim's housekeeping: puts back jobs of stale leases, and deletes leases without jobs. Returns whether
// it has left some.
bool sweep(int64_t stale_after, OnlyTenants only = nullptr);
// Ends a lease whose worker is known to have gone: the jobs that it still holds are queued again, or dead.
int64_t reclaim_lease(int64_t lock_token);
// The same for some of its jobs; the others keep it.
int64_t reclaim_jobs(const Ids &job_ids, int64_t lock_token);

// ------------------------------------------------------------------------------------------ pipeline.cpp

int64_t create_run(std::string_view tenant, std::string_view name);
// Takes steps of runs that have steps left, up to max_jobs jobs in all; false when there is no such run.
bool advance_runs(int max_jobs, OnlyTenants only = nullptr);

// ------------------------------------------------------------------------------------------ partitions.cpp

// The main function of the background process that makes partitions of job_history.
void partition_maker(std::uint32_t schema);

// ------------------------------------------------------------------------------------------ load_test.cpp

int64_t seed_load_test(int total_jobs, int tenants);
int64_t clear_load_test();

} // namespace fairq::queue
