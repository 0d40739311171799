// What a tenant's limits let through: one judgement, for the claim, and for why_not_running, which therefore
// cannot disagree.
#pragma once

#include "queue/limits.hpp"
#include "tables/limit_lookups.hpp"

#include <map>
#include <set>

namespace fairq::queue {

struct Verdict {
    enum class Reason { open, paused, at_cap, out_of_tokens, busy };
    Reason reason = Reason::open;
    int jobs = INT32_MAX;      // that may be claimed now
    int running = 0;           // of the tenant, when it has a cap
    TimestampTz admits_at = 0; // when the rate lets the next one through
    int64 arrival = 0;         // the rate's state (see core/rate.hpp), if it was asked
};

// Of one claim: all sessions share the server's lock table.
constexpr size_t kMostTenantLocks = 64;

class LimitCheck {
public:
    LimitCheck(tables::LimitLookups &lookups, Oid queue, TimestampTz now)
        : lookups_(lookups), queue_(queue), now_(now) {}

    // What the limits allow, as of a snapshot of this claim. Without the lock that may change a moment later.
    Verdict peek(std::string_view tenant, const TenantLimits &limits) const {
        return judge(tenant, limits, 0, tables::LimitLookups::Freshness::recent);
    }
    // What acquire() would say, for why_not_running: inside with_spi(), changes and locks nothing.
    Verdict predict(std::string_view tenant, const TenantLimits &limits) const;
    // For a claim that is about to enter for these tenants, whose caps are new: takes their locks, and marks
    // the jobs that were claimed before there was a cap, for all of them in one reading of the leases.
    void prepare(const std::vector<std::string_view> &tenants);
    // The same as peek() for a claim: under the tenant's lock, so that it stays true until this transaction
    // ends. busy: another session has the lock, or this claim has as many locks as it may.
    Verdict acquire(const std::string &tenant, const TenantLimits &limits);
    // The claim has taken so many jobs of the tenant. Returns when the tenant's rate lets the next one through; DT_NOEND:
    // it does so now, or there is none.
    TimestampTz record(const std::string &tenant, const TenantLimits &limits, int jobs);
    // Writes what the claim took by rate into tenant_rates. Inside with_spi().
    void charge();
    // When a rate that it met lets the next job through; DT_NOEND: no rate keeps a job back.
    TimestampTz opens_at() const { return opens_at_; }

private:
    // uncounted: running jobs that the index of counted jobs does not have yet
    Verdict judge(std::string_view tenant, const TenantLimits &limits, int uncounted,
                  tables::LimitLookups::Freshness freshness = tables::LimitLookups::Freshness::latest) const;
    bool lock(const std::string &tenant);
    Verdict remember_opening(const Verdict &verdict);

    tables::LimitLookups &lookups_;
    Oid queue_;
    TimestampTz now_;
    std::set<std::string> locked_;
    std::map<std::string, int> uncounted_;  // running jobs that the index does not have yet
    std::map<std::string, int64> arrivals_; // the rates' states under the tenants' locks
    TimestampTz opens_at_ = DT_NOEND;
    std::map<std::string, TimestampTz> due_; // the rates' new arrival times, in the order of their rows
};

} // namespace fairq::queue
