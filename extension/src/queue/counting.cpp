// How verbs tell the counters and the ring what they moved.
#include "queue/internal.hpp"
#include "shared/waiters/waiters.hpp"

namespace fairq::queue {

namespace {

int number_of(std::optional<JobStatus> status) {
    return status ? static_cast<int>(core::index_of(*status)) : -1;
}

} // namespace

void count_move(std::optional<JobStatus> from, std::optional<JobStatus> to, int64 jobs, int64 load_test) {
    shared::counters::moved(tables::live_table_oid(pg::schema()), number_of(from), number_of(to), jobs,
                            load_test);
}

int64 count_moves(const pg::Rows &rows, std::optional<JobStatus> to) {
    int64 moved = 0;
    for (size_t row = 0; row < rows.size(); ++row) {
        auto const from = static_cast<JobStatus>(rows.int32_at(row, Moves::old_status));
        count_move(from, to, rows.int64_at(row, Moves::jobs), rows.int64_at(row, Moves::load_test_jobs));
        moved += rows.int64_at(row, Moves::jobs);
    }
    return moved;
}

Ids ids_in(const pg::Rows &rows) {
    Ids ids(rows.size());
    for (size_t row = 0; row < rows.size(); ++row)
        ids[row] = rows.int64_at(row, pg::kOnlyColumn);
    return ids;
}

void refuse_swallowed(const pg::Rows &rows, const char *table) {
    if (!rows.empty() && rows.is_null(rows.size() - 1, Moves::old_status))
        pg::raise_row_swallowed(table);
}

void lane_filled(core::LaneName lane, int64 jobs, core::KeyRange where) {
    Oid const queue = tables::live_table_oid(pg::schema());
    shared::ring::activate_at_commit(queue, lane, where);
    shared::waiters::jobs_came(queue, lane, jobs);
}

void lane_gained(core::LaneName lane, int64 jobs, core::KeyRange where) {
    shared::queued_counts::changed(tables::live_table_oid(pg::schema()), lane, jobs);
    lane_filled(lane, jobs, where);
}

void lane_lost(core::LaneName lane, int64 jobs) {
    shared::queued_counts::changed(tables::live_table_oid(pg::schema()), lane, -jobs);
}

void lanes_gained(std::vector<Placed> jobs) {
    auto const before = [](const Placed &a, const Placed &b) {
        return std::tie(a.lane.queue, a.lane.tenant, a.place) <
               std::tie(b.lane.queue, b.lane.tenant, b.place);
    };
    std::sort(jobs.begin(), jobs.end(), before);
    for (auto first = jobs.begin(); first != jobs.end();) {
        auto const next = std::upper_bound(first, jobs.end(), Placed{first->lane, core::kLastKey}, before);
        lane_gained(first->lane, next - first, {first->place, core::range_of(std::prev(next)->place).to});
        first = next;
    }
}

core::KeyRange range_in(const pg::Rows &rows, size_t row, int first_place) {
    return {rows.int64_at(row, first_place), core::range_of(rows.int64_at(row, first_place + 1)).to};
}

int64 count_into_lanes(const pg::Rows &rows) {
    for (size_t row = 0; row < rows.size(); ++row)
        lane_gained({rows.text_at(row, Moves::queue), rows.text_at(row, Moves::tenant)},
                    rows.int64_at(row, Moves::jobs), range_in(rows, row, Moves::first_place));
    return count_moves(rows, JobStatus::queued);
}

} // namespace fairq::queue
