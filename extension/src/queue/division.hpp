// How a claim comes to its jobs.
#pragma once

#include "queue/lanes.hpp"
#include "queue/limit_check.hpp"

namespace fairq::queue {

// Draws lanes for what is missing and asks each for its part, within its limits, until the claim is full,
// nobody has more, or as many lanes were asked as one call may.
void divide(const ClaimRequest &request, tables::LiveTable &table, LimitCheck &limit_check, Lanes &lanes,
            Claim &claim);

} // namespace fairq::queue
