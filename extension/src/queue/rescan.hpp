// Each claim also checks a few lanes against the index, to find jobs that were written directly to the tables, and to
// fill the ring after a restart.
#pragma once

#include "queue/internal.hpp"
#include "queue/limit_check.hpp"

namespace fairq::queue {

// Looks up the next few lanes in the index, whether they are in the ring or not, and looks into their skip ranges. If a
// lane is held, it judges the tenant's limits anew.
void rescan(const shared::ring::Ring &ring, tables::LiveTable &table, const LimitCheck &limit_check);

} // namespace fairq::queue
