// How verbs tell the counters and the ring what they moved.
#include "queue/queue.hpp"

#include "pg/waiters.hpp"

namespace fairq::queue {

namespace {

int number_of(std::optional<JobStatus> status) {
    return status ? static_cast<int>(core::index_of(*status)) : -1;
}

} // namespace

void count_move(std::optional<JobStatus> from, std::optional<JobStatus> to, int64 jobs, int64 load_test) {
    pg::counters::moved(pg::live_table_oid(pg::schema()), number_of(from), number_of(to), jobs, load_test);
}

int64 count_moves(const pg::Rows &rows, std::optional<JobStatus> to) {
    int64 moved = 0;
    for (size_t row = 0; row < rows.size(); ++row) {
        auto const from = static_cast<JobStatus>(rows.int32_at(row, 1));
        count_move(from, to, rows.int64_at(row, 2), rows.int64_at(row, 3));
        moved += rows.int64_at(row, 2);
    }
    return moved;
}

void lane_filled(std::string_view tenant, int64 jobs) {
    Oid const queue = pg::live_table_oid(pg::schema());
    pg::ring::activate_at_commit(queue, tenant);
    pg::waiters::jobs_came(queue, tenant, jobs);
}

void lane_gained(std::string_view tenant, int64 jobs) {
    pg::depths::changed(pg::live_table_oid(pg::schema()), tenant, jobs);
    lane_filled(tenant, jobs);
}

void lane_lost(std::string_view tenant, int64 jobs) {
    pg::depths::changed(pg::live_table_oid(pg::schema()), tenant, -jobs);
}

void lanes_gained(std::vector<std::string_view> tenants) {
    std::sort(tenants.begin(), tenants.end());
    for (auto tenant = tenants.begin(); tenant != tenants.end();) {
        auto const next = std::upper_bound(tenant, tenants.end(), *tenant);
        lane_gained(*tenant, next - tenant);
        tenant = next;
    }
}

int64 count_into_lanes(const pg::Rows &rows, int tenant) {
    for (size_t row = 0; row < rows.size(); ++row)
        lane_gained(rows.text_at(row, tenant), rows.int64_at(row, 2));
    return count_moves(rows, JobStatus::queued);
}

} // namespace fairq::queue
