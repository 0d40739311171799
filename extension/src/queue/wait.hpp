// Waiting for jobs, and what verbs tell waiting sessions besides new jobs (see shared/waiters/waiters.hpp).
#pragma once

#include "queue/internal.hpp"

namespace fairq::queue {

// For a procedure: sleeps until there may be work for a claim of these tenants (null: of all), for at most
// `timeout` microseconds. False: no work came.
bool wait_for_jobs(int64 timeout, const std::vector<std::string> *only_tenants);

// Notes what a claim saw, and what it left for other claims. news: as it was before the claim's snapshot.
void claim_seen(const ClaimRequest &request, const Claim &claim, std::uint64_t news);
// Inside with_spi(): a job of the tenant is not locked any more; or it is queued again, so that its own lane_gained()
// wakes a waiter; a scheduled job will be due.
void slot_freed(std::string_view tenant);
void slot_freed_for_itself(std::string_view tenant);
void job_due(TimestampTz at);

} // namespace fairq::queue
