// How a claim comes to its jobs.
#pragma once

#include "queue/lanes.hpp"
#include "queue/limit_check.hpp"

namespace fairq::queue {

// Draws lanes for what is missing and takes from each its part, within its tenant's limits, until the claim has
// all the jobs that it asked for, no lane has more, or the claim has asked as many lanes as it may.
void divide(const ClaimRequest &request, tables::LiveTable &table, LimitCheck &limit_check, Lanes &lanes,
            Claim &claim);

} // namespace fairq::queue
