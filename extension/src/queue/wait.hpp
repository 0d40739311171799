// Waiting for jobs, and what verbs tell waiting sessions besides new jobs (see shared/waiters/waiters.hpp).
#pragma once

#include "queue/internal.hpp"
#include "shared/waiters/waiters.hpp"

namespace fairq::queue {

// For a procedure: sleeps until there may be work for a claim, for at most `timeout` microseconds. False: no work came.
bool wait_for_jobs(int64 timeout, const shared::waiters::Wanted &wanted);

// Notes what a claim saw, and what it left for other claims. news: as it was before the claim's snapshot.
void claim_seen(const ClaimRequest &request, const Claim &claim, shared::waiters::News news);
// Inside with_spi(): a job of the lane is not locked any more; or it is queued again, so that its own lane_gained()
// wakes a waiter; a scheduled job will be due.
void slot_freed(core::LaneName lane);
void slot_freed_for_itself(core::LaneName lane);
void job_due(TimestampTz at);

} // namespace fairq::queue
