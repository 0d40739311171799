// Why a finished job is not running (see why_answer.hpp).
#include "metrics/why_answer.hpp"

#include "queue/internal.hpp"
#include "tables/owner.hpp"

namespace fairq::metrics {

namespace {

// SQL is laid out by hand.
// clang-format off

#define FAIRQ_FINISHED(table) \
    "SELECT status::text, tenant_id, finished_at, attempts, max_attempts, last_error FROM @" table \
    " WHERE id = $1 AND finished_at >= $2 LIMIT 1"
struct FinishedRow {
    enum Column { status = 1, tenant, finished_at, attempts, max_attempts, last_error };
};
// id, since when → its row
const pg::Statement kExplainFinished{pg::Plan::by_values, FAIRQ_FINISHED("job_history"), {INT8OID, TIMESTAMPTZOID}};

const pg::Statement kExplainArchived{pg::Plan::by_values, FAIRQ_FINISHED("job_archive"), {INT8OID, TIMESTAMPTZOID}};

// clang-format on

std::optional<std::string> explain_finished(int64 id, const pg::Statement &table, bool archived,
                                            const std::vector<std::string> *only_tenants) {
    pg::Rows const row = pg::read_as_of_snapshot(table, {pg::of(id), queue::since_recently()});
    if (row.empty() || !is_visible(row.text_at(0, FinishedRow::tenant), only_tenants))
        return std::nullopt;
    std::string const status = row.text_at(0, FinishedRow::status);
    const char *const change = status != "dead" ? "Nothing: it is final."
                               : archived       ? "Nothing: it was archived."
                                                : "redrive_dead_jobs queues it again.";
    return Answer(id, status, "done",
                  "It is " + status + " since " + at(row.time_at(0, FinishedRow::finished_at)) + ".", change)
        .with("finished_at", row.time_at(0, FinishedRow::finished_at))
        .number("attempts", row.int32_at(0, FinishedRow::attempts))
        .number("max_attempts", row.int32_at(0, FinishedRow::max_attempts))
        .with("last_error", text_or_none(row, FinishedRow::last_error))
        .with("archived", archived)
        .json();
}

} // namespace

std::optional<std::string> explain_finished_job(int64 id, const std::vector<std::string> *only_tenants) {
    std::optional<std::string> answer = explain_finished(id, kExplainFinished, false, only_tenants);
    if (!answer && tables::extension_owns(pg::schema(), "job_archive"))
        answer = explain_finished(id, kExplainArchived, true, only_tenants);
    return answer;
}

} // namespace fairq::metrics
