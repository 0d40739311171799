// The judgement over a tenant's limits (see limit_check.hpp).
#include "queue/limit_check.hpp"

#include "tables/tenant_lock.hpp"

namespace fairq::queue {

namespace {

// SQL is laid out by hand.
// clang-format off

// Locked jobs of tenants $1 that do not count for the tenants' caps, because they were claimed before there was a cap.
#define FAIRQ_UNCOUNTED                                                                                                 \
    "@job_leases l CROSS JOIN unnest(l.job_ids) AS a (id) JOIN @job_live j ON j.id = a.id AND "                       \
    "j.lock_token = l.lock_token WHERE j.tenant_id = ANY ($1) AND j.running_since IS NULL"

// tenants → tenant, how many jobs are left uncounted. Passes over jobs that another transaction is finishing.
const pg::Statement kMarkRunning{pg::Plan::pinned, R"(
WITH uncounted AS MATERIALIZED (
    SELECT j.id, j.tenant_id, j.lock_token FROM )" FAIRQ_UNCOUNTED R"(
), marked AS (
    UPDATE @job_live SET running_since = locked_at
     WHERE id IN (SELECT j.id FROM uncounted u JOIN @job_live j ON j.id = u.id AND j.lock_token = u.lock_token
                   WHERE j.running_since IS NULL FOR NO KEY UPDATE OF j SKIP LOCKED)
    RETURNING tenant_id
)
SELECT tenant_id, sum(n)::integer
  FROM (SELECT tenant_id, 1 FROM uncounted UNION ALL SELECT tenant_id, -1 FROM marked) AS c (tenant_id, n)
 GROUP BY tenant_id HAVING sum(n) > 0)", {TEXTARRAYOID}};
struct Uncounted {
    enum Column { tenant = 1, jobs };
};

// tenants → how many jobs are uncounted; for predict(), which changes nothing
const pg::Statement kCountUncounted{pg::Plan::pinned, "SELECT count(*)::integer FROM " FAIRQ_UNCOUNTED, {TEXTARRAYOID}};

// tenants. First it is noted which transactions may still have claimed without the cap; when the last of them has ended
// and all jobs are marked, it is settled. A transaction that is not yet to come was one of another cluster, from which the
// row was restored or replicated: then it is noted anew.
const pg::Statement kEndCapPending{pg::Plan::pinned, R"(
UPDATE @tenant_limits
   SET cap_pending_since = CASE WHEN cap_pending_since = '0' OR cap_pending_since > pg_snapshot_xmax(pg_current_snapshot())
                                THEN pg_snapshot_xmax(pg_current_snapshot()) END
 WHERE tenant_id IN (SELECT tenant_id FROM @tenant_limits
                      WHERE tenant_id = ANY ($1)
                        AND (cap_pending_since = '0' OR cap_pending_since > pg_snapshot_xmax(pg_current_snapshot())
                             OR (cap_pending_since <= pg_snapshot_xmin(pg_current_snapshot())
                                                AND tenant_id NOT IN (SELECT j.tenant_id FROM )" FAIRQ_UNCOUNTED R"()))
                      ORDER BY tenant_id FOR NO KEY UPDATE SKIP LOCKED))", {TEXTARRAYOID}};

// tenants, new arrival times. Under the tenants' locks, so that no other claim writes these rows. Almost always each
// tenant has its row, and an UPDATE costs less than an INSERT that finds a conflict.
const pg::Statement kChargeRates{pg::Plan::pinned, R"(
UPDATE @tenant_rates r SET due_at = i.due_at
  FROM unnest($1, $2) AS i (tenant, due_at)
 WHERE r.tenant_id = i.tenant AND r.side = 'claim')", {TEXTARRAYOID, TIMESTAMPTZARRAYOID}};

// The same, for tenants of which some have no row yet.
const pg::Statement kChargeNewRates{pg::Plan::pinned, R"(
INSERT INTO @tenant_rates (tenant_id, side, due_at)
SELECT i.tenant, 'claim', i.due_at FROM unnest($1, $2) AS i (tenant, due_at) ORDER BY i.tenant COLLATE "C"
    ON CONFLICT (tenant_id, side) DO UPDATE SET due_at = excluded.due_at)", {TEXTARRAYOID, TIMESTAMPTZARRAYOID}};

// clang-format on

// GCRA counts in microseconds since its epoch; 0 means that nothing was ever admitted.
int64 arrival_of(std::optional<TimestampTz> due_at) {
    return due_at.value_or(0);
}

} // namespace

Verdict LimitCheck::judge(std::string_view tenant, const TenantLimits &limits, int uncounted,
                          tables::LimitLookups::Freshness freshness) const {
    Verdict verdict;
    if (limits.paused) {
        verdict.reason = Verdict::Reason::paused;
        verdict.jobs = 0;
        return verdict;
    }
    if (limits.max_concurrency) {
        verdict.running = lookups_.running(tenant, *limits.max_concurrency, freshness) + uncounted;
        verdict.jobs = *limits.max_concurrency - verdict.running;
        if (verdict.jobs <= 0)
            verdict.reason = Verdict::Reason::at_cap;
    }
    if (verdict.jobs > 0 && limits.rate) {
        verdict.arrival = arrival_of(lookups_.claim_due_at(tenant, freshness));
        int const admitted = core::admitted(*limits.rate, verdict.arrival, now_, verdict.jobs);
        verdict.jobs = std::min(verdict.jobs, admitted);
        verdict.admits_at = core::admits_at(*limits.rate, verdict.arrival, now_, 1);
        if (verdict.jobs <= 0)
            verdict.reason = Verdict::Reason::out_of_tokens;
    }
    return verdict;
}

Verdict LimitCheck::predict(std::string_view tenant, const TenantLimits &limits) const {
    int uncounted = 0;
    if (limits.cap_pending && limits.max_concurrency)
        uncounted = pg::execute(kCountUncounted, {pg::of(std::vector<std::string_view>{tenant})})
                        .int32_at(0, pg::kOnlyColumn);
    Verdict verdict = judge(tenant, limits, uncounted);
    if (verdict.reason == Verdict::Reason::open && has_claim_limits(limits) &&
        tables::tenant_is_locked(queue_, tenant)) {
        verdict.reason = Verdict::Reason::busy;
        verdict.jobs = 0;
    }
    return verdict;
}

// Claims mark the visible uncounted jobs again and again, until no transaction is left that could have claimed without
// the cap (see tenant_limits.cap_pending_since). Jobs that cannot be marked, because another transaction is finishing
// them, count as running until that transaction commits.
void LimitCheck::prepare(const std::vector<std::string_view> &tenants) {
    std::vector<std::string_view> locked;
    for (std::string_view const tenant : tenants)
        if (locked_.count(std::string(tenant)) == 0 && lock(std::string(tenant)))
            locked.push_back(tenant);
    if (locked.empty())
        return;
    pg::with_spi([&] {
        pg::Rows const uncounted = pg::execute(kMarkRunning, {pg::of(locked)});
        for (size_t row = 0; row < uncounted.size(); ++row)
            uncounted_[uncounted.text_at(row, Uncounted::tenant)] = uncounted.int32_at(row, Uncounted::jobs);
        pg::execute(kEndCapPending, {pg::of(locked)});
    });
}

bool LimitCheck::lock(const std::string &tenant) {
    if (locked_.size() == kMostTenantLocks || !tables::try_lock_tenant(queue_, tenant))
        return false;
    locked_.insert(tenant);
    return true;
}

Verdict LimitCheck::acquire(const std::string &tenant, const TenantLimits &limits) {
    if (!limits.paused && !has_claim_limits(limits))
        return {};
    if (locked_.count(tenant) == 0) {
        // Most tenants that are held back are found without their lock. While cap_pending, running jobs are
        // undercounted, so the count without the lock decides nothing.
        Verdict verdict = peek(tenant, limits);
        if (limits.paused || (verdict.reason != Verdict::Reason::open && !limits.cap_pending))
            return remember_opening(verdict);
        if (limits.cap_pending || !lock(tenant)) {
            verdict.reason = Verdict::Reason::busy;
            verdict.jobs = 0;
            return verdict;
        }
    }
    Verdict const verdict = judge(tenant, limits, uncounted_[tenant]);
    if (limits.rate && verdict.jobs > 0)
        arrivals_[tenant] = verdict.arrival;
    return remember_opening(verdict);
}

Verdict LimitCheck::remember_opening(const Verdict &verdict) {
    if (verdict.reason == Verdict::Reason::out_of_tokens)
        opens_at_ = std::min(opens_at_, verdict.admits_at);
    return verdict;
}

TimestampTz LimitCheck::record(const std::string &tenant, const TenantLimits &limits, int jobs) {
    if (!limits.rate || jobs == 0)
        return DT_NOEND;
    auto known = arrivals_.find(tenant);
    if (known == arrivals_.end()) // it had no rate when it was judged
        known = arrivals_.emplace(tenant, arrival_of(lookups_.claim_due_at(tenant))).first;
    TimestampTz const due = core::charged(*limits.rate, known->second, now_, jobs);
    known->second = due_[tenant] = due;
    TimestampTz const admits_at = core::admits_at(*limits.rate, due, now_, 1);
    if (admits_at <= now_)
        return DT_NOEND;
    opens_at_ = std::min(opens_at_, admits_at);
    return admits_at;
}

void LimitCheck::charge() {
    if (due_.empty())
        return;
    std::vector<std::string_view> tenants;
    Ids due;
    for (auto const &[tenant, due_at] : due_) {
        tenants.push_back(tenant);
        due.push_back(due_at);
    }
    auto const values = {pg::of(tenants), pg::of_times(due)};
    if (pg::execute(kChargeRates, values).size() != tenants.size())
        pg::execute_all(kChargeNewRates, "tenant_rates", tenants.size(), values);
}

} // namespace fairq::queue
