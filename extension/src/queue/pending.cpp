// How many jobs of a tenant wait, for tenants that have a max_pending: a journal of changes, whose sum it is.
// Nobody waits for anybody here, and every statement sees a sum that is right for its snapshot. Rows are only
// added, and folded: many become one. Two folds pass each other's rows over; one that is rolled back never
// was.
#include "queue/limits.hpp"

namespace fairq::queue {

namespace {

// SQL is laid out by hand.
// clang-format off

// tenants, changes: a tenant may come several times
const pg::Statement kAddPending{pg::Plan::pinned, R"(
INSERT INTO @tenant_pending (tenant_id, change)
SELECT i.tenant, sum(i.change) FROM unnest($1, $2) AS i (tenant, change)
 GROUP BY i.tenant HAVING sum(i.change) <> 0
RETURNING tenant_id)", {TEXTARRAYOID, INT8ARRAYOID}};

// ids of unfinished jobs, the change that each of them makes
const pg::Statement kAddPendingOf{pg::Plan::pinned, R"(
INSERT INTO @tenant_pending (tenant_id, change)
SELECT j.tenant_id, $2 * count(*)
  FROM unnest($1) AS a (id)
  JOIN @job_live j ON j.id = a.id
  JOIN @tenant_limits l ON l.tenant_id = j.tenant_id AND l.max_pending IS NOT NULL
 GROUP BY j.tenant_id
RETURNING tenant_id)", {INT8ARRAYOID, INT8OID}};

// tenants → waiting, rows that were added up, in the order of the tenants
const pg::Statement kWaiting{pg::Plan::pinned, R"(
SELECT coalesce(sum(p.change), 0)::bigint, count(p.change)
  FROM unnest($1) WITH ORDINALITY AS i (tenant, n) LEFT JOIN @tenant_pending p ON p.tenant_id = i.tenant
 GROUP BY i.n ORDER BY i.n)", {TEXTARRAYOID}};
struct WaitingJobs {
    enum Column { jobs = 1, rows };
};

// tenant: many rows become one with their sum. Never waits; a rollback gives the rows back.
const pg::Statement kFoldPending{pg::Plan::pinned, R"(
WITH folded AS (
    DELETE FROM @tenant_pending
     WHERE ctid = ANY (ARRAY(SELECT ctid FROM @tenant_pending WHERE tenant_id = $1 LIMIT 1000 FOR UPDATE SKIP LOCKED))
    RETURNING change
)
INSERT INTO @tenant_pending (tenant_id, change)
SELECT $1, sum(change) FROM folded HAVING sum(change) <> 0)", {TEXTOID}};

// clang-format on

constexpr uint64 kFoldEvery = 64; // rows, about

// Keeps the journal short also where nobody sums it: each new row is the one that folds now and then.
void fold_sometimes(const pg::Rows &added) {
    std::vector<std::string> tenants;
    for (size_t row = 0; row < added.size(); ++row)
        if (pg::random_bits() % kFoldEvery == 0)
            tenants.push_back(added.text_at(row, pg::kOnlyColumn));
    for (const std::string &tenant : tenants)
        fold_pending(tenant);
}

} // namespace

// At stricter isolation levels a row that somebody else folded is an error, not one to pass over.
void fold_pending(std::string_view tenant) {
    if (!IsolationUsesXactSnapshot())
        pg::execute(kFoldPending, {pg::of(tenant)});
}

void pending_changed(const std::vector<std::string_view> &tenants, const Ids &changes) {
    if (!pending_is_used())
        return;
    std::vector<std::string_view> limited;
    Ids limited_changes;
    for (size_t i = 0; i < tenants.size(); ++i) {
        if (!limits_of(tenants[i]).max_pending)
            continue;
        limited.push_back(tenants[i]);
        limited_changes.push_back(changes[i]);
    }
    if (!limited.empty())
        fold_sometimes(pg::execute(kAddPending, {pg::of(limited), pg::of(limited_changes)}));
}

void pending_moved(const Ids &jobs, int64 change) {
    if (!jobs.empty() && pending_is_used())
        fold_sometimes(pg::execute(kAddPendingOf, {pg::of(jobs), pg::of(change)}));
}

void pending_moved(const pg::Rows &moves, int64 change) {
    if (moves.empty() || !pending_is_used())
        return;
    std::vector<std::string> names;
    Ids changes;
    for (size_t row = 0; row < moves.size(); ++row) {
        auto const from = static_cast<JobStatus>(moves.int32_at(row, Moves::old_status));
        if (change < 0 && from > JobStatus::queued)
            continue; // did not wait
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
