// The SQL-callable functions: unpack and check arguments, call the queue, pack the result. The schema that a
// function was created in is where the extension's tables are.
#include "metrics/metrics.hpp"
#include "pg/arguments.hpp"
#include "pg/caller.hpp"
#include "pg/notify.hpp"
#include "pg/pushed_conditions.hpp"
#include "pg/script_version.hpp"
#include "pg/transaction.hpp"
#include "queue/access.hpp"
#include "queue/limits.hpp"
#include "queue/wait.hpp"
#include "ticks/ticks.hpp"

namespace {

using namespace fairq;
using core::kMaxNameBytes;
using pg::Arguments;
using queue::Capability;

Arguments begin(FunctionCallInfo fcinfo) {
    pg::check_script_version();
    pg::use_schema(pg::call([&] { return get_func_namespace(fcinfo->flinfo->fn_oid); }));
    return Arguments(fcinfo);
}

ReturnSetInfo *result_set(FunctionCallInfo fcinfo) {
    return pg::call([&] { return pg::compat::materialize(fcinfo); });
}

// 0 becomes NULL: there is no job of this id.
Datum return_ids(FunctionCallInfo fcinfo, const queue::Ids &ids) {
    pg::put_numbers(ids, result_set(fcinfo));
    PG_RETURN_NULL();
}

void check_payload(size_t bytes) {
    if (bytes > pg::settings::max_payload_size())
        pg::raise_payload_too_large(bytes, pg::settings::max_payload_size());
}

std::string_view queue_name(const Arguments &arguments, int i) {
    return arguments.name(i, "queue", core::kMaxQueueBytes);
}

// The arguments that enqueue_job and enqueue_jobs share, all but the queue at the same places.
queue::NewJobs new_jobs(const Arguments &arguments, int queue) {
    queue::NewJobs common{};
    common.queue = queue_name(arguments, queue);
    common.job_type = arguments.name(1, "job_type", kMaxNameBytes);
    common.priority = arguments.int32_in(3, "priority", {INT16_MIN, INT16_MAX});
    common.run_at = arguments.optional_time(4, "run_at");
    common.max_attempts = arguments.int32_in(7, "max_attempts", {1, core::kMaxAttempts});
    common.timeout = arguments.duration(8, "timeout", core::kMaxTimeout);
    if (!arguments.is_null(9)) {
        common.run_id = arguments.positive(9, "run_id");
        common.stage = arguments.is_null(10) ? 1 : arguments.int32_in(10, "stage", {1, core::kMaxStage});
    } else if (!arguments.is_null(10)) {
        pg::raise_bad_argument("stage is given without run_id", "Make a run with create_pipeline_run.");
    }
    return common;
}

void check_length(size_t length, size_t wanted, const char *name) {
    if (length != wanted)
        pg::raise_bad_argument(std::string(name) + " has " + std::to_string(length) +
                                   " elements, tenant_ids has " + std::to_string(wanted),
                               "Give one element for each tenant, or NULL for the whole array.");
}

// Those of the jobs that the calling worker may touch. A job of another tenant is treated as one whose lease has ended.
queue::Ids of_caller(const queue::Ids &job_ids) {
    return queue::jobs_of(queue::bound_tenants(Capability::worker), job_ids);
}

// worker_id, max_jobs, tenant_cap and queue are the arguments from `first` on.
Datum return_claim(FunctionCallInfo fcinfo, const Arguments &arguments, int first) {
    std::string_view const worker = arguments.name(first, "worker_id", kMaxNameBytes);
    int32 const max_jobs = arguments.int32_in(first + 1, "max_jobs", {1, core::kMaxJobsPerCall});
    int32 const tenant_cap = arguments.int32_in(first + 2, "tenant_cap", {1, INT32_MAX});
    core::JobTypes const any_type;
    queue::Tenants const tenants = queue::bound_tenants(Capability::worker);
    queue::claim_for_worker({queue_name(arguments, first + 3), worker, max_jobs, tenant_cap, any_type,
                             result_set(fcinfo), tenants ? &*tenants : nullptr});
    PG_RETURN_NULL();
}

} // namespace

// ------------------------------------------------------------------------------------------ enqueue

FAIRQ_API_FUNCTION(fairq_enqueue_job) {
    Arguments const arguments = begin(fcinfo);
    queue::NewJobs const common = new_jobs(arguments, 11);
    std::string_view const tenant = arguments.name(0, "tenant_id", kMaxNameBytes);
    queue::check_tenant(Capability::producer, tenant);
    Datum const payload = arguments.required(2, "payload");
    check_payload(arguments.payload_size(2));
    PG_RETURN_INT64(
        queue::enqueue(common, {tenant, payload, arguments.optional_name(5, "idempotency_key", kMaxNameBytes),
                                arguments.optional_name(6, "concurrency_key", kMaxNameBytes)}));
}

FAIRQ_API_FUNCTION(fairq_enqueue_jobs) {
    Arguments const arguments = begin(fcinfo);
    queue::NewJobs const common = new_jobs(arguments, 12);
    size_t const count = arguments.names(0, "tenant_ids", kMaxNameBytes, false);
    queue::check_tenants(Capability::producer, arguments.required(0, "tenant_ids"));
    if (!arguments.is_null(2)) {
        std::vector<size_t> const sizes = arguments.payload_sizes(2, "payloads");
        check_length(sizes.size(), count, "payloads");
        for (size_t const size : sizes)
            check_payload(size);
    }
    if (!arguments.is_null(5))
        check_length(arguments.names(5, "idempotency_keys", kMaxNameBytes, true), count, "idempotency_keys");
    if (!arguments.is_null(6))
        check_length(arguments.names(6, "concurrency_keys", kMaxNameBytes, true), count, "concurrency_keys");
    queue::BulkArrays const arrays{count, arguments.value(0), arguments.value(2), arguments.value(5),
                                   arguments.value(6)};
    return return_ids(fcinfo, queue::enqueue_all(common, arrays, arguments.boolean(11, "partial")));
}

FAIRQ_API_FUNCTION(fairq_create_pipeline_run) {
    Arguments const arguments = begin(fcinfo);
    std::string_view const tenant = arguments.name(0, "tenant_id", kMaxNameBytes);
    queue::check_tenant(Capability::producer, tenant);
    PG_RETURN_INT64(queue::create_run(tenant, arguments.name(1, "name", kMaxNameBytes)));
}

// ------------------------------------------------------------------------------------------ work

FAIRQ_API_FUNCTION(fairq_claim_queued_jobs) {
    return return_claim(fcinfo, begin(fcinfo), 0);
}

FAIRQ_API_FUNCTION(fairq_complete_jobs) {
    Arguments const arguments = begin(fcinfo);
    queue::Ids const ids = arguments.ids(0, "job_ids");
    int64 const lock_token = arguments.positive(1, "lock_token");
    return return_ids(fcinfo, queue::complete(of_caller(ids), lock_token));
}

// A worker's first call has nothing to complete, and no token.
FAIRQ_API_FUNCTION(fairq_complete_and_claim_jobs) {
    Arguments const arguments = begin(fcinfo);
    queue::Ids const done = arguments.is_null(0) ? queue::Ids{} : arguments.ids(0, "done_ids");
    if (!done.empty() || !arguments.is_null(1)) {
        int64 const lock_token = arguments.positive(1, "lock_token");
        if (!done.empty())
            queue::complete_or_warn(done, of_caller(done), lock_token);
    }
    return return_claim(fcinfo, arguments, 2);
}

FAIRQ_API_FUNCTION(fairq_fail_job) {
    Arguments const arguments = begin(fcinfo);
    int64 const job_id = arguments.positive(0, "job_id"), lock_token = arguments.positive(1, "lock_token");
    std::string_view const error = arguments.text(2, "error");
    bool const retry = arguments.boolean(3, "retry");
    queue::check_job(Capability::worker, job_id);
    core::JobStatus const status = queue::fail(job_id, lock_token, error, retry);
    PG_RETURN_DATUM(tables::status_datum(pg::schema(), core::name_of(status)));
}

FAIRQ_API_FUNCTION(fairq_release_jobs) {
    Arguments const arguments = begin(fcinfo);
    queue::Ids const ids = arguments.ids(0, "job_ids");
    int64 const lock_token = arguments.positive(1, "lock_token");
    std::optional<TimestampTz> const run_at = arguments.optional_time(2, "run_at");
    PG_RETURN_INT32(static_cast<int32>(queue::release(of_caller(ids), lock_token, run_at)));
}

FAIRQ_API_FUNCTION(fairq_heartbeat_jobs) {
    int64 const lock_token = begin(fcinfo).positive(0, "lock_token");
    PG_RETURN_INT32(queue::heartbeat_of(queue::bound_tenants(Capability::worker), lock_token));
}

// Runs with its caller's rights, like every procedure that commits: with the owner's rights, an error after the first
// commit would leave the session with these rights.
FAIRQ_FUNCTION(fairq_wait_for_jobs) {
    Arguments const arguments = begin(fcinfo);
    int64 const timeout = arguments.duration(0, "timeout", core::kDay);
    std::optional<std::vector<std::string>> const queues =
        arguments.optional_names(1, "queues", core::kMaxQueueBytes, core::kMostQueuesOfWait);
    pg::refuse_on_standby("CALL wait_for_jobs");
    queue::Tenants tenants;
    pg::with_own_names([&] {
        pg::OwnerRights const rights(fcinfo);
        tenants = queue::bound_tenants(Capability::worker);
    });
    if (!pg::may_commit(fcinfo))
        pg::raise_cannot_wait();
    bool woken = false;
    pg::with_committing_spi(fcinfo, [&] {
        woken = queue::wait_for_jobs(timeout, {tenants ? &*tenants : nullptr, queues ? &*queues : nullptr});
    });
    PG_RETURN_DATUM(pg::of_record(fcinfo, pg::of(woken)));
}

FAIRQ_API_FUNCTION(fairq_reclaim_stuck_jobs) {
    Arguments const arguments = begin(fcinfo);
    int64 const stale_after = arguments.duration(0, "stale_after", 365 * core::kDay);
    int32 const max_jobs = arguments.int32_in(1, "max_jobs", {1, core::kMaxJobsPerCall});
    queue::check_unbound(Capability::operations);
    PG_RETURN_INT32(static_cast<int32>(queue::reclaim(stale_after, max_jobs)));
}

FAIRQ_API_FUNCTION(fairq_cancel_job) {
    int64 const job_id = begin(fcinfo).positive(0, "job_id");
    queue::check_job(Capability::operations, job_id);
    PG_RETURN_BOOL(queue::cancel(job_id));
}

FAIRQ_API_FUNCTION(fairq_redrive_dead_jobs) {
    Arguments const arguments = begin(fcinfo);
    std::optional<std::string_view> const tenant = arguments.optional_name(0, "tenant_id", kMaxNameBytes);
    arguments.optional_name(1, "job_type", kMaxNameBytes);
    int32 const max_jobs = arguments.int32_in(2, "max_jobs", {1, core::kMaxJobsPerCall});
    TimestampTz const since = pg::now() - arguments.duration(3, "died_within", 36525 * core::kDay);
    pg::Value const job_type = arguments.value(1);
    if (!tenant)
        PG_RETURN_INT32(static_cast<int32>(
            queue::redrive_of(queue::bound_tenants(Capability::operations), job_type, max_jobs, since)));
    queue::check_tenant(Capability::operations, *tenant);
    PG_RETURN_INT32(static_cast<int32>(queue::redrive(arguments.value(0), job_type, max_jobs, since)));
}

// ------------------------------------------------------------------------------------------ limits

FAIRQ_API_FUNCTION(fairq_set_tenant_limits) {
    Arguments const arguments = begin(fcinfo);
    std::string_view const tenant = arguments.name(0, "tenant_id", kMaxNameBytes);
    queue::LimitChanges changes;
    changes.weight = arguments.optional_int32(1, "weight", {1, core::kMaxWeight});
    changes.max_concurrency = arguments.optional_int32(2, "max_concurrency", {0, INT32_MAX});
    changes.rate = arguments.optional_double(3, "rate_per_second", core::kMaxRate);
    changes.burst = arguments.optional_int32(4, "burst", {1, INT32_MAX});
    changes.max_pending = arguments.optional_int64(5, "max_pending", {0, INT64_MAX});
    if (!arguments.is_null(6))
        changes.paused = arguments.boolean(6, "paused");
    changes.enqueue_rate = arguments.optional_double(7, "enqueue_rate_per_second", core::kMaxRate);
    changes.enqueue_burst = arguments.optional_int32(8, "enqueue_burst", {1, INT32_MAX});
    queue::check_unbound(Capability::operations);
    queue::set_tenant_limits(tenant, changes);
    PG_RETURN_VOID();
}

FAIRQ_API_FUNCTION(fairq_pause_job_type) {
    std::string_view const type = begin(fcinfo).name(0, "job_type", kMaxNameBytes);
    queue::check_unbound(Capability::operations);
    PG_RETURN_BOOL(queue::pause_job_type(type));
}

FAIRQ_API_FUNCTION(fairq_resume_job_type) {
    std::string_view const type = begin(fcinfo).name(0, "job_type", kMaxNameBytes);
    queue::check_unbound(Capability::operations);
    PG_RETURN_BOOL(queue::resume_job_type(type));
}

// ------------------------------------------------------------------------------------------ ticks and handlers

FAIRQ_FUNCTION(fairq_register_job_handler) {
    Arguments const arguments = begin(fcinfo);
    queue::register_handler(arguments.name(0, "job_type", kMaxNameBytes), arguments.oid(1, "handler"));
    PG_RETURN_VOID();
}

FAIRQ_FUNCTION(fairq_unregister_job_handler) {
    PG_RETURN_BOOL(queue::unregister_handler(begin(fcinfo).name(0, "job_type", kMaxNameBytes)));
}

FAIRQ_FUNCTION(fairq_run_job_queue_cron) {
    Arguments const arguments = begin(fcinfo);
    PG_RETURN_DATUM(pg::of_jsonb(ticks::tick(1, queue_name(arguments, 0))).datum);
}

FAIRQ_FUNCTION(fairq_run_job_queue_parallel) {
    Arguments const arguments = begin(fcinfo);
    int32 const workers = arguments.int32_in(0, "workers", {1, core::kMaxTickWorkers});
    PG_RETURN_DATUM(pg::of_jsonb(ticks::tick(workers, queue_name(arguments, 1))).datum);
}

FAIRQ_FUNCTION(fairq_run_job_queue_ticks) {
    Arguments const arguments = begin(fcinfo);
    int32 const workers = arguments.int32_in(0, "workers", {1, core::kMaxTickWorkers});
    int64 const every = arguments.duration(1, "every", core::kDay);
    int64 const during = arguments.duration(2, "during", core::kDay);
    std::string const queue(
        queue_name(arguments, 3)); // the ticks commit, and end the memory of the arguments
    pg::with_committing_spi(fcinfo, [&] { ticks::run_ticks(workers, every, during, queue); });
    PG_RETURN_VOID();
}

// ------------------------------------------------------------------------------------------ metrics, notify, load test

FAIRQ_API_FUNCTION(fairq_get_queue_metrics) {
    begin(fcinfo);
    PG_RETURN_DATUM(metrics::queue_metrics(queue::bound_tenants(Capability::monitor)).datum);
}

FAIRQ_API_FUNCTION(fairq_why_not_running) {
    int64 const job_id = begin(fcinfo).positive(0, "job_id");
    queue::Tenants const tenants = queue::bound_tenants(Capability::monitor);
    PG_RETURN_DATUM(pg::of_jsonb(metrics::why_not_running(job_id, tenants ? &*tenants : nullptr)).datum);
}

FAIRQ_API_FUNCTION(fairq_get_tenant_metrics) {
    begin(fcinfo);
    metrics::tenant_metrics(result_set(fcinfo), queue::bound_tenants(Capability::monitor));
    PG_RETURN_NULL();
}

FAIRQ_API_FUNCTION(fairq_get_queue_alerts) {
    begin(fcinfo);
    queue::check_unbound(Capability::monitor);
    metrics::queue_alerts(result_set(fcinfo));
    PG_RETURN_NULL();
}

FAIRQ_API_FUNCTION(fairq_set_alert_threshold) {
    constexpr double kMost = 1e18;
    Arguments const arguments = begin(fcinfo);
    std::string_view const rule = arguments.name(0, "rule", kMaxNameBytes);
    auto const warning = arguments.optional_double(1, "warning", kMost);
    auto const critical = arguments.optional_double(2, "critical", kMost);
    queue::check_unbound(Capability::operations);
    metrics::set_alert_threshold(rule, warning, critical);
    PG_RETURN_VOID();
}

FAIRQ_API_FUNCTION(fairq_get_load_test_metrics) {
    begin(fcinfo);
    queue::check_unbound(Capability::monitor);
    PG_RETURN_DATUM(metrics::load_test_metrics().datum);
}

FAIRQ_FUNCTION(fairq_truncate_notify_payload) {
    Arguments const arguments = begin(fcinfo);
    auto const most = static_cast<size_t>(arguments.int32_in(1, "max_bytes", {1, core::kMaxNotifyBytes}));
    PG_RETURN_DATUM(pg::of(pg::clip(arguments.text(0, "payload"), most)).datum);
}

FAIRQ_FUNCTION(fairq_notify_truncated) {
    Arguments const arguments = begin(fcinfo);
    std::string_view const payload = arguments.text(1, "payload");
    std::string_view const sent = pg::clip(payload, core::kMaxNotifyBytes);
    pg::notify(arguments.text(0, "channel"), sent);
    PG_RETURN_BOOL(sent.size() < payload.size());
}

FAIRQ_API_FUNCTION(fairq_seed_load_test_jobs) {
    Arguments const arguments = begin(fcinfo);
    int32 const total = arguments.int32_in(0, "total_jobs", {1, INT32_MAX});
    int32 const tenants = arguments.int32_in(1, "tenants", {1, core::kMaxLoadTestTenants});
    queue::check_unbound(Capability::operations);
    PG_RETURN_INT64(queue::seed_load_test(total, tenants));
}

FAIRQ_API_FUNCTION(fairq_clear_load_test_data) {
    begin(fcinfo);
    queue::check_unbound(Capability::operations);
    PG_RETURN_INT64(queue::clear_load_test());
}

// ------------------------------------------------------------------------------------------ access

// Runs before job_queue's other trigger, which runs as the owner and so cannot see which role inserts.
FAIRQ_API_FUNCTION(fairq_job_queue_allowed) {
    begin(fcinfo);
    pg::InsertedRow const row(fcinfo);
    if (std::optional<std::string_view> const tenant = row.text("tenant_id"))
        queue::check_tenant(Capability::producer, *tenant);
    PG_RETURN_POINTER(row.tuple());
}

FAIRQ_API_FUNCTION(fairq_my_tenants) {
    begin(fcinfo);
    queue::Tenants const tenants = queue::bound_tenants(Capability::monitor);
    if (!tenants)
        PG_RETURN_NULL();
    PG_RETURN_DATUM(pg::of(std::vector<std::string_view>(tenants->begin(), tenants->end())).datum);
}

// A part of the INSERT into job_queue.
FAIRQ_API_FUNCTION(fairq_read_job) {
    int64 const job_id = begin(fcinfo).positive(0, "job_id");
    queue::read_job(job_id, result_set(fcinfo));
    PG_RETURN_NULL();
}

FAIRQ_API_FUNCTION(fairq_read_my_jobs) {
    begin(fcinfo);
    queue::Tenants const tenants = queue::bound_tenants(Capability::monitor);
    std::string const conditions =
        pg::pushed_conditions(fcinfo, "j", tables::relation_in(pg::schema(), "job_queue"));
    queue::read_jobs_of(tenants, conditions, result_set(fcinfo));
    PG_RETURN_NULL();
}
