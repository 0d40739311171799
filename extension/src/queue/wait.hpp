// Waiting for jobs, and what is waited for besides jobs that come (see shared/waiters/waiters.hpp).
#pragma once

#include "queue/internal.hpp"

namespace fairq::queue {

// In a procedure: until there may be work for a claim of these tenants (null: of all), for so many
// microseconds at most. False: nothing came.
bool wait_for_jobs(int64 timeout, const std::vector<std::string> *only_tenants);

// What a claim saw, and left for others. news: from before its snapshot.
void claim_seen(const ClaimRequest &request, const Claim &claim, std::uint64_t news);
// Inside with_spi(): a job of the tenant is not locked any more; a scheduled job will be due.
void slot_freed(std::string_view tenant);
void job_due(TimestampTz at);

} // namespace fairq::queue
