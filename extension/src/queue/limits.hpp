// What limits a tenant, and what keeps count of it.
#pragma once

#include "core/rate.hpp"
#include "queue/internal.hpp"

namespace fairq::queue {

// ------------------------------------------------------------------------------------------ limits.cpp

struct TenantLimits {
    int weight = 1;
    std::optional<int> max_concurrency;
    std::optional<core::Rate> rate, enqueue_rate;
    std::optional<int64> max_pending;
    bool paused = false, cap_pending = false;
};
// A tenant's weight and limits, as of the last commit: a copy that this process keeps. Valid until the next
// call of this or of pending_is_used().
const TenantLimits &limits_of(std::string_view tenant);
bool limits_are_used(); // whether any tenant has a row
inline bool has_claim_limits(const TenantLimits &limits) {
    return limits.max_concurrency || limits.rate;
}

// What set_tenant_limits changes: none leaves a value, 0 removes a limit.
struct LimitChanges {
    std::optional<int32> weight, max_concurrency, burst, enqueue_burst;
    std::optional<double> rate, enqueue_rate;
    std::optional<int64> max_pending;
    std::optional<bool> paused;
};
void set_tenant_limits(std::string_view tenant, const LimitChanges &changes);
bool pause_job_type(std::string_view job_type);  // false: it was paused already
bool resume_job_type(std::string_view job_type); // false: it was not paused
// A statement has changed this table, which may be tenant_limits or paused_job_types: tells the ring, unless a verb that
// wrote to the table does.
void rules_written(std::uint32_t table);

// ------------------------------------------------------------------------------------------ pending.cpp

bool pending_is_used(); // whether any tenant has a max_pending
// Every verb tells, inside with_spi(), which jobs it moved into or out of waiting (blocked, scheduled,
// queued, parked). Nothing happens for tenants without a max_pending, at the cost of a look at a number as
// long as no tenant has one.
void pending_changed(const std::vector<std::string_view> &tenants, const Ids &changes);
void pending_moved(const Ids &jobs, int64 change);       // unfinished jobs, each of which makes this change
void pending_moved(const pg::Rows &moves, int64 change); // as count_moves(), with the tenant as fourth column
void pending_claimed(const Claim &claim);
struct Waiting {
    int64 jobs;
    bool to_fold; // its pending changes have become many
};
std::vector<Waiting> waiting_jobs(const std::vector<std::string_view> &tenants); // in their order
void fold_pending(std::string_view tenant);
void count_pending(std::string_view tenant); // anew

// ------------------------------------------------------------------------------------------ enqueue_limits.cpp

// Asks for admission of new jobs; `tenants` has the tenant of each. The jobs that a tenant's limits let in are charged
// and counted as waiting. If some do not fit, the last ones of the tenant are refused: Call::partial returns their
// places, else JQ002 is raised.
enum class Call { single, bulk, partial };
std::vector<size_t> admit(const std::vector<std::string_view> &tenants, Call call);

} // namespace fairq::queue
