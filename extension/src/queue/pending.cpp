// How many jobs of a tenant wait, for tenants that have a max_pending: the sum of the rows of tenant_pending, each of
// which is a change. No session waits for another one here, and every statement sees a sum that is right for its
// snapshot. Rows are only added, and folded: many rows become one. Two folds at the same time skip each other's rows,
// and a fold that is rolled back has changed nothing.
#include "queue/failures.hpp"
#include "queue/limits.hpp"

#include <map>

namespace fairq::queue {

namespace {

// SQL is laid out by hand.
// clang-format off

// tenants, changes
const pg::Statement kAddPending{pg::Plan::pinned, R"(
INSERT INTO @tenant_pending (tenant_id, change) SELECT i.tenant, i.change FROM unnest($1, $2) AS i (tenant, change))", {TEXTARRAYOID, INT8ARRAYOID}};

// tenant → what is missing in its sum; its lanes may be in any queue
const pg::Statement kCountPending{pg::Plan::pinned, R"(
SELECT (SELECT count(*) FROM @job_live WHERE queue = ANY ()" FAIRQ_QUEUES R"() AND tenant_id = $1 AND position IS NOT NULL AND status = 'queued')
     + (SELECT count(*) FROM @job_live WHERE tenant_id = $1 AND parked_position IS NOT NULL)
     + (SELECT count(*) FROM @job_live WHERE tenant_id = $1 AND due_at IS NOT NULL)
     + (SELECT count(*) FROM @job_live WHERE tenant_id = $1 AND run_id IS NOT NULL AND status = 'blocked')
     - coalesce((SELECT sum(change) FROM @tenant_pending WHERE tenant_id = $1), 0)::bigint)", {TEXTOID}};

// ids of unfinished jobs → tenant, how many of them
const pg::Statement kTenantsOfJobs{pg::Plan::pinned, R"(
SELECT j.tenant_id, count(*) FROM unnest($1) AS a (id) JOIN @job_live j ON j.id = a.id GROUP BY j.tenant_id)", {INT8ARRAYOID}};
struct TenantOfJobs {
    enum Column { tenant = 1, jobs };
};

// tenants → waiting, rows that were added up, in the order of the tenants
const pg::Statement kWaiting{pg::Plan::pinned, R"(
SELECT coalesce(sum(p.change), 0)::bigint, count(p.change)
  FROM unnest($1) WITH ORDINALITY AS i (tenant, n) LEFT JOIN @tenant_pending p ON p.tenant_id = i.tenant
 GROUP BY i.n ORDER BY i.n)", {TEXTARRAYOID}};
struct WaitingJobs {
    enum Column { jobs = 1, rows };
};

// tenant → the sum of some rows, which go away. Never waits; a rollback gives the rows back.
const pg::Statement kFoldPending{pg::Plan::pinned, R"(
WITH folded AS (
    DELETE FROM @tenant_pending
     WHERE ctid = ANY (ARRAY(SELECT ctid FROM @tenant_pending WHERE tenant_id = $1 LIMIT 1000 FOR UPDATE SKIP LOCKED))
    RETURNING change
)
SELECT coalesce(sum(change), 0)::bigint FROM folded)", {TEXTOID}};

// clang-format on

constexpr uint64 kFoldEvery = 64; // rows, about

// Adds a row for each tenant. If a trigger swallows one, an error is raised: the count would be wrong from then on.
void add(const std::vector<std::string_view> &tenants, const Ids &changes) {
    if (!tenants.empty())
        pg::execute_all(kAddPending, "tenant_pending", tenants.size(), {pg::of(tenants), pg::of(changes)});
}

} // namespace

// Adds the difference between the tenant's jobs and its sum. It deletes no row, so it waits for no fold.
void count_pending(std::string_view tenant) {
    int64 const missing = pg::execute(kCountPending, {pg::of(tenant)}).int64_at(0, pg::kOnlyColumn);
    if (missing != 0)
        add({tenant}, {missing});
}

// At stricter isolation levels a row that another transaction folded would raise an error instead of being skipped.
// Rows that cannot be folded stay, and are summed as they are.
void fold_pending(std::string_view tenant) {
    if (IsolationUsesXactSnapshot())
        return;
    auto const error = pg::try_subtransaction([&] {
        int64 const sum = pg::execute(kFoldPending, {pg::of(tenant)}).int64_at(0, pg::kOnlyColumn);
        if (sum != 0)
            add({tenant}, {sum});
    });
    if (error)
        report_failure(Chore::fold, *error);
}

// A tenant may come several times. Now and then a change also folds, so that the rows stay few even when no enqueue
// sums them.
void pending_changed(const std::vector<std::string_view> &tenants, const Ids &changes) {
    if (!pending_is_used())
        return;
    std::map<std::string_view, int64> sums;
    for (size_t i = 0; i < tenants.size(); ++i)
        if (limits_of(tenants[i]).max_pending)
            sums[tenants[i]] += changes[i];
    std::vector<std::string_view> limited, to_fold;
    Ids limited_changes;
    for (auto const &[tenant, change] : sums) {
        if (change == 0)
            continue;
        limited.push_back(tenant);
        limited_changes.push_back(change);
        if (pg::random_bits() % kFoldEvery == 0)
            to_fold.push_back(tenant);
    }
    add(limited, limited_changes);
    for (std::string_view const tenant : to_fold)
        fold_pending(tenant);
}

void pending_moved(const Ids &jobs, int64 change) {
    if (jobs.empty() || !pending_is_used())
        return;
    pg::Rows const rows = pg::execute(kTenantsOfJobs, {pg::of(jobs)});
    std::vector<std::string> names;
    Ids changes;
    for (size_t row = 0; row < rows.size(); ++row) {
        names.push_back(rows.text_at(row, TenantOfJobs::tenant));
        changes.push_back(change * rows.int64_at(row, TenantOfJobs::jobs));
    }
    pending_changed({names.begin(), names.end()}, changes);
}

void pending_moved(const pg::Rows &moves, int64 change) {
    if (moves.empty() || !pending_is_used())
        return;
    std::vector<std::string> names;
    Ids changes;
    for (size_t row = 0; row < moves.size(); ++row) {
        auto const from = static_cast<JobStatus>(moves.int32_at(row, Moves::old_status));
        if (change < 0 && from > JobStatus::queued)
            continue; // the jobs were not waiting
        names.push_back(moves.text_at(row, Moves::tenant));
        changes.push_back(change * moves.int64_at(row, Moves::jobs));
    }
    pending_changed({names.begin(), names.end()}, changes);
}

void pending_claimed(const Claim &claim) {
    if (!pending_is_used())
        return;
    std::vector<std::string_view> const tenants(claim.lanes.begin(), claim.lanes.end());
    Ids changes(tenants.size());
    for (const tables::ClaimedJob &job : claim.jobs)
        --changes[static_cast<size_t>(job.lane)];
    pending_changed(tenants, changes);
}

// Jobs that came while the count was being started are missing in it until it is started again: it may even
// be below zero.
std::vector<Waiting> waiting_jobs(const std::vector<std::string_view> &tenants) {
    pg::Rows const rows = pg::execute(kWaiting, {pg::of(tenants)});
    std::vector<Waiting> waiting;
    for (size_t row = 0; row < rows.size(); ++row)
        waiting.push_back({std::max<int64>(0, rows.int64_at(row, WaitingJobs::jobs)),
                           static_cast<uint64>(rows.int64_at(row, WaitingJobs::rows)) > kFoldEvery});
    return waiting;
}

} // namespace fairq::queue
