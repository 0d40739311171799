// The SQL-callable functions: unpack and check arguments, call the queue, pack the result. The schema that a
// function was created in is where the extension's tables are.
#include "queue/queue.hpp"

#include "pg/arguments.hpp"
#include "pg/notify.hpp"
#include "pg/table_cache.hpp"

namespace {

using namespace fairq;
using core::kMaxNameBytes;
using pg::Arguments;

Arguments begin(FunctionCallInfo fcinfo) {
    pg::use_schema(pg::call([&] { return get_func_namespace(fcinfo->flinfo->fn_oid); }));
    return Arguments(fcinfo);
}

ReturnSetInfo *result_set(FunctionCallInfo fcinfo) {
    return pg::call([&] { return pg::compat::materialize(fcinfo); });
}

Datum return_ids(FunctionCallInfo fcinfo, const queue::Ids &ids) {
    ReturnSetInfo *const result = result_set(fcinfo);
    pg::call([&] {
        for (int64 const id : ids) {
            Datum value = Int64GetDatum(id);
            bool null = false;
            tuplestore_putvalues(result->setResult, result->setDesc, &value, &null);
        }
    });
    PG_RETURN_NULL();
}

Datum text_datum(std::string_view text) {
    return pg::of(text).datum;
}

void check_payload(size_t bytes) {
    if (bytes > pg::settings::max_payload_size())
        pg::raise_payload_too_large(bytes, pg::settings::max_payload_size());
}

// The arguments that enqueue_job and enqueue_jobs share, at the same places.
queue::NewJobs new_jobs(const Arguments &arguments) {
    queue::NewJobs common{};
    common.job_type = arguments.name(1, "job_type", kMaxNameBytes);
    common.priority = arguments.int32_in(3, "priority", {INT16_MIN, INT16_MAX});
    common.run_at = arguments.optional_time(4, "run_at");
    common.max_attempts = arguments.int32_in(7, "max_attempts", {1, core::kMaxAttempts});
    common.timeout = pg::interval_of(arguments.duration(8, "timeout", core::kMaxTimeout));
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

} // namespace

// ------------------------------------------------------------------------------------------ enqueue

FAIRQ_FUNCTION(fairq_enqueue_job) {
    Arguments const arguments = begin(fcinfo);
    queue::NewJobs const common = new_jobs(arguments);
    std::string_view const tenant = arguments.name(0, "tenant_id", kMaxNameBytes);
    Datum const payload = arguments.required(2, "payload");
    check_payload(arguments.payload_size(2));
    PG_RETURN_INT64(
        queue::enqueue(common, {tenant, payload, arguments.optional_name(5, "idempotency_key", kMaxNameBytes),
                                arguments.optional_name(6, "concurrency_key", kMaxNameBytes)}));
}

FAIRQ_FUNCTION(fairq_enqueue_jobs) {
    Arguments const arguments = begin(fcinfo);
    queue::NewJobs const common = new_jobs(arguments);
    size_t const count = arguments.names(0, "tenant_ids", kMaxNameBytes, false);
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
    return return_ids(fcinfo, queue::enqueue_all(common, {count, arguments.value(0), arguments.value(2),
                                                          arguments.value(5), arguments.value(6)}));
}

// ------------------------------------------------------------------------------------------ work

FAIRQ_FUNCTION(fairq_claim_queued_jobs) {
    Arguments const arguments = begin(fcinfo);
    std::string_view const worker = arguments.name(0, "worker_id", kMaxNameBytes);
    int32 const max_jobs = arguments.int32_in(1, "max_jobs", {1, core::kMaxJobsPerCall});
    int32 const tenant_cap = arguments.int32_in(2, "tenant_cap", {1, INT32_MAX});
    pg::JobTypes const any_type;
    queue::claim({worker, max_jobs, tenant_cap, any_type, result_set(fcinfo)});
    PG_RETURN_NULL();
}

FAIRQ_FUNCTION(fairq_complete_jobs) {
    Arguments const arguments = begin(fcinfo);
    queue::Ids ids = arguments.ids(0, "job_ids");
    return return_ids(fcinfo, queue::complete(std::move(ids), arguments.positive(1, "lock_token")));
}

FAIRQ_FUNCTION(fairq_fail_job) {
    Arguments const arguments = begin(fcinfo);
    core::JobStatus const status =
        queue::fail(arguments.positive(0, "job_id"), arguments.positive(1, "lock_token"),
                    arguments.text(2, "error"), arguments.boolean(3, "retry"));
    PG_RETURN_DATUM(pg::status_datum(pg::schema(), core::name_of(status)));
}

FAIRQ_FUNCTION(fairq_release_jobs) {
    Arguments const arguments = begin(fcinfo);
    queue::Ids ids = arguments.ids(0, "job_ids");
    PG_RETURN_INT32(static_cast<int32>(queue::release(std::move(ids), arguments.positive(1, "lock_token"),
                                                      arguments.optional_time(2, "run_at"))));
}

FAIRQ_FUNCTION(fairq_heartbeat_jobs) {
    PG_RETURN_INT32(queue::heartbeat(begin(fcinfo).positive(0, "lock_token")));
}

FAIRQ_FUNCTION(fairq_reclaim_stuck_jobs) {
    Arguments const arguments = begin(fcinfo);
    int64 const stale_after = arguments.duration(0, "stale_after", 365 * core::kDay);
    PG_RETURN_INT32(static_cast<int32>(
        queue::reclaim(stale_after, arguments.int32_in(1, "max_jobs", {1, core::kMaxJobsPerCall}))));
}

FAIRQ_FUNCTION(fairq_cancel_job) {
    PG_RETURN_BOOL(queue::cancel(begin(fcinfo).positive(0, "job_id")));
}

FAIRQ_FUNCTION(fairq_redrive_dead_jobs) {
    Arguments const arguments = begin(fcinfo);
    arguments.optional_name(0, "tenant_id", kMaxNameBytes);
    arguments.optional_name(1, "job_type", kMaxNameBytes);
    int32 const max_jobs = arguments.int32_in(2, "max_jobs", {1, core::kMaxJobsPerCall});
    PG_RETURN_INT32(static_cast<int32>(queue::redrive(arguments.value(0), arguments.value(1), max_jobs)));
}

// ------------------------------------------------------------------------------------------ workers in the
// database

FAIRQ_FUNCTION(fairq_register_job_handler) {
    Arguments const arguments = begin(fcinfo);
    queue::register_handler(arguments.name(0, "job_type", kMaxNameBytes), arguments.oid(1, "handler"));
    PG_RETURN_VOID();
}

FAIRQ_FUNCTION(fairq_unregister_job_handler) {
    PG_RETURN_BOOL(queue::unregister_handler(begin(fcinfo).name(0, "job_type", kMaxNameBytes)));
}

FAIRQ_FUNCTION(fairq_run_job_queue_cron) {
    begin(fcinfo);
    PG_RETURN_DATUM(pg::of_jsonb(queue::tick(1)).datum);
}

FAIRQ_FUNCTION(fairq_run_job_queue_parallel) {
    int32 const workers = begin(fcinfo).int32_in(0, "workers", {1, core::kMaxTickWorkers});
    PG_RETURN_DATUM(pg::of_jsonb(queue::tick(workers)).datum);
}

FAIRQ_FUNCTION(fairq_run_job_queue_ticks) {
    Arguments const arguments = begin(fcinfo);
    int32 const workers = arguments.int32_in(0, "workers", {1, core::kMaxTickWorkers});
    int64 const every = arguments.duration(1, "every", core::kDay);
    int64 const during = arguments.duration(2, "during", core::kDay);
    pg::with_committing_spi(fcinfo, [&] { queue::ticks(workers, every, during); });
    PG_RETURN_VOID();
}

// The main function of a tick's background processes.
extern "C" {
PGDLLEXPORT void fairq_tick_process(Datum segment);
void fairq_tick_process(Datum segment) {
    pg::entry([&] { pg::process_main(segment, {queue::coordinate, queue::work}); });
}
}

// ------------------------------------------------------------------------------------------ metrics, notify,
// load test

FAIRQ_FUNCTION(fairq_get_queue_metrics) {
    begin(fcinfo);
    PG_RETURN_DATUM(queue::queue_metrics().datum);
}

FAIRQ_FUNCTION(fairq_get_tenant_metrics) {
    begin(fcinfo);
    queue::tenant_metrics(result_set(fcinfo));
    PG_RETURN_NULL();
}

FAIRQ_FUNCTION(fairq_get_load_test_metrics) {
    begin(fcinfo);
    PG_RETURN_DATUM(queue::load_test_metrics().datum);
}

FAIRQ_FUNCTION(fairq_truncate_notify_payload) {
    Arguments const arguments = begin(fcinfo);
    auto const most = static_cast<size_t>(arguments.int32_in(1, "max_bytes", {1, core::kMaxNotifyBytes}));
    PG_RETURN_DATUM(text_datum(pg::clip(arguments.text(0, "payload"), most)));
}

FAIRQ_FUNCTION(fairq_notify_truncated) {
    Arguments const arguments = begin(fcinfo);
    std::string_view const payload = arguments.text(1, "payload");
    std::string_view const sent = pg::clip(payload, core::kMaxNotifyBytes);
    pg::notify(arguments.text(0, "channel"), sent);
    PG_RETURN_BOOL(sent.size() < payload.size());
}

FAIRQ_FUNCTION(fairq_seed_load_test_jobs) {
    Arguments const arguments = begin(fcinfo);
    int32 const total = arguments.int32_in(0, "total_jobs", {1, INT32_MAX});
    PG_RETURN_INT64(
        queue::seed_load_test(total, arguments.int32_in(1, "tenants", {1, core::kMaxLoadTestTenants})));
}

FAIRQ_FUNCTION(fairq_clear_load_test_data) {
    begin(fcinfo);
    PG_RETURN_INT64(queue::clear_load_test());
}

// ------------------------------------------------------------------------------------------ small tables

// After any change of a table whose rows sessions keep a copy of.
FAIRQ_FUNCTION(fairq_table_changed) {
    pg::table_cache::changed_by_trigger(fcinfo);
    PG_RETURN_POINTER(nullptr);
}
