// The judgement over a tenant's limits (see gate.hpp).
#include "queue/limit_check.hpp"

#include "tables/rates.hpp"
#include "tables/tenant_lock.hpp"
#include "queue/statements.hpp"

namespace fairq::queue {

namespace {

constexpr size_t kMostTenantLocks = 64; // of one claim: the server's lock table is everybody's

// GCRA counts in microseconds since its epoch; 0 means that nothing was ever admitted.
int64 arrival_of(std::optional<TimestampTz> due_at) {
    return due_at.value_or(0);
}

} // namespace

Verdict Gate::judge(std::string_view tenant, const TenantLimits &limits, int unmarked,
                    tables::Probes::Sight sight) const {
    Verdict verdict;
    if (limits.paused) {
        verdict.reason = Verdict::Reason::paused;
        verdict.jobs = 0;
        return verdict;
    }
    if (limits.max_concurrency) {
        verdict.running = probes_.running(tenant, *limits.max_concurrency, sight) + unmarked;
        verdict.jobs = *limits.max_concurrency - verdict.running;
        if (verdict.jobs <= 0)
            verdict.reason = Verdict::Reason::at_cap;
    }
    if (verdict.jobs > 0 && limits.rate) {
        verdict.arrival = arrival_of(probes_.claim_due_at(tenant, sight));
        int const admitted = core::admitted(*limits.rate, verdict.arrival, now_, verdict.jobs);
        verdict.jobs = std::min(verdict.jobs, admitted);
        verdict.admits_at = core::admits_at(*limits.rate, verdict.arrival, now_, 1);
        if (verdict.jobs <= 0)
            verdict.reason = Verdict::Reason::out_of_tokens;
    }
    return verdict;
}

Verdict Gate::foresee(std::string_view tenant, const TenantLimits &limits) const {
    int unmarked = 0;
    if (limits.settling && limits.max_concurrency)
        unmarked =
            pg::execute(sql::kCountUnmarked, {pg::of(std::vector<std::string_view>{tenant})}).int32_at(0, 1);
    Verdict verdict = judge(tenant, limits, unmarked);
    if (verdict.reason == Verdict::Reason::open && has_claim_limits(limits) &&
        tables::tenant_is_locked(queue_, tenant)) {
        verdict.reason = Verdict::Reason::busy;
        verdict.jobs = 0;
    }
    return verdict;
}

// The jobs that are to be seen are marked as often as it takes until no transaction is left that could have
// claimed without the cap (see tenant_limits.settling). Those that cannot be marked, because somebody is
// finishing them, run until that commits.
void Gate::prepare(const std::vector<std::string_view> &settling) {
    std::vector<std::string_view> locked;
    for (std::string_view const tenant : settling)
        if (locked_.count(std::string(tenant)) == 0 && lock(std::string(tenant)))
            locked.push_back(tenant);
    if (locked.empty())
        return;
    pg::with_spi([&] {
        pg::Rows const unmarked = pg::execute(sql::kMarkRunning, {pg::of(locked)});
        for (size_t row = 0; row < unmarked.size(); ++row)
            unmarked_[unmarked.text_at(row, 1)] = unmarked.int32_at(row, 2);
        pg::execute(sql::kSettle, {pg::of(locked)});
    });
}

bool Gate::lock(const std::string &tenant) {
    if (locked_.size() == kMostTenantLocks || !tables::try_lock_tenant(queue_, tenant))
        return false;
    locked_.insert(tenant);
    return true;
}

Verdict Gate::enter(const std::string &tenant, const TenantLimits &limits) {
    if (!limits.paused && !has_claim_limits(limits))
        return {};
    if (locked_.count(tenant) == 0) {
        // Most of those who are held back are seen without a lock. Not by a cap that is new: to that one not
        // all count yet.
        Verdict verdict = look(tenant, limits);
        if (limits.paused || (verdict.reason != Verdict::Reason::open && !limits.settling))
            return noted(verdict);
        if (limits.settling || !lock(tenant)) {
            verdict.reason = Verdict::Reason::busy;
            verdict.jobs = 0;
            return verdict;
        }
    }
    Verdict const verdict = judge(tenant, limits, unmarked_[tenant]);
    if (limits.rate && verdict.jobs > 0)
        arrivals_[tenant] = verdict.arrival;
    return noted(verdict);
}

Verdict Gate::noted(const Verdict &verdict) {
    if (verdict.reason == Verdict::Reason::out_of_tokens)
        opens_at_ = std::min(opens_at_, verdict.admits_at);
    return verdict;
}

void Gate::taken(const std::string &tenant, const TenantLimits &limits, int jobs) {
    if (!limits.rate || jobs == 0)
        return;
    auto known = arrivals_.find(tenant);
    if (known == arrivals_.end()) // it had no rate when it was judged
        known = arrivals_.emplace(tenant, arrival_of(probes_.claim_due_at(tenant))).first;
    TimestampTz const due = core::charged(*limits.rate, known->second, now_, jobs);
    known->second = due_[tenant] = due;
    TimestampTz const admits_at = core::admits_at(*limits.rate, due, now_, 1);
    if (admits_at > now_)
        opens_at_ = std::min(opens_at_, admits_at);
}

void Gate::finish() {
    if (due_.empty())
        return;
    std::vector<tables::Charge> charges;
    for (auto const &[tenant, due_at] : due_)
        charges.push_back({tenant, due_at});
    std::vector<std::string_view> tenants;
    Ids due;
    for (tables::Charge const &charge : tables::charge_claims(pg::schema(), charges)) {
        tenants.push_back(charge.tenant);
        due.push_back(charge.due_at);
    }
    if (!tenants.empty())
        pg::execute(sql::kChargeRates, {pg::of(tenants), pg::of_times(due)});
}

} // namespace fairq::queue
