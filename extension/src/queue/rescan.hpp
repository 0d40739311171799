// What every claim does on the side, for what was written directly to the tables, and after a restart.
#pragma once

#include "queue/internal.hpp"

namespace fairq::queue {

// Looks at the next lane or more by the index, whoever is in the ring, and into their skip ranges.
void rescan(const shared::ring::Ring &ring, tables::LiveTable &table);

} // namespace fairq::queue
