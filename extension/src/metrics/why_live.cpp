// Reading an unfinished job (see why_live.hpp).
#include "metrics/why_live.hpp"

#include "metrics/why_answer.hpp"

namespace fairq::metrics {

namespace {

// SQL is laid out by hand.
// clang-format off

// id → version of the row, status, tenant, type, priority, position, due, when it came into this state, attempts,
// max_attempts, error, concurrency key, run, stage, worker, heartbeat, the run's status and stage, queue
const pg::Statement kExplainLive{pg::Plan::pinned, R"(
SELECT j.ctid::text || ' ' || j.xmin::text, array_position(enum_range(NULL::@job_status), j.status) - 1, j.tenant_id,
       j.job_type, j.priority::integer, j.position, j.due_at, j.updated_at, j.attempts, j.max_attempts, j.last_error,
       j.concurrency_key, j.run_id, j.stage, j.locked_by, l.heartbeat_at, r.status, r.stage, j.queue
  FROM @job_live j
  LEFT JOIN @job_leases l ON l.lock_token = j.lock_token
  LEFT JOIN @pipeline_runs r ON r.id = j.run_id
 WHERE j.id = $1)", {INT8OID}};
struct LiveRow {
    enum Column { version = 1, status, tenant, job_type, priority, position, due_at, updated_at, attempts, max_attempts, last_error, concurrency_key, run, stage, worker, heartbeat_at, run_status, run_stage, queue };
};

// clang-format on

template <class T>
std::optional<T> if_set(const pg::Rows &rows, int column, T value) {
    return rows.is_null(0, column) ? std::nullopt : std::optional<T>(std::move(value));
}

} // namespace

std::optional<LiveJob> find_live(int64 id) {
    pg::Rows const row = pg::read_as_of_snapshot(kExplainLive, {pg::of(id)});
    if (row.empty())
        return std::nullopt;
    return LiveJob{id,
                   row.text_at(0, LiveRow::version),
                   static_cast<core::JobStatus>(row.int32_at(0, LiveRow::status)),
                   row.text_at(0, LiveRow::tenant),
                   row.text_at(0, LiveRow::job_type),
                   row.int32_at(0, LiveRow::priority),
                   if_set(row, LiveRow::position, row.int64_at(0, LiveRow::position)),
                   if_set(row, LiveRow::due_at, row.time_at(0, LiveRow::due_at)),
                   row.time_at(0, LiveRow::updated_at),
                   row.int32_at(0, LiveRow::attempts),
                   row.int32_at(0, LiveRow::max_attempts),
                   text_or_none(row, LiveRow::last_error),
                   text_or_none(row, LiveRow::concurrency_key),
                   if_set(row, LiveRow::run, row.int64_at(0, LiveRow::run)),
                   if_set(row, LiveRow::stage, row.int32_at(0, LiveRow::stage)),
                   text_or_none(row, LiveRow::worker),
                   if_set(row, LiveRow::heartbeat_at, row.time_at(0, LiveRow::heartbeat_at)),
                   text_or_none(row, LiveRow::run_status),
                   if_set(row, LiveRow::run_stage, row.int32_at(0, LiveRow::run_stage)),
                   row.text_at(0, LiveRow::queue)};
}

} // namespace fairq::metrics
