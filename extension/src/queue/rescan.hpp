// What every claim does on the side, for what went past the API, and after a restart.
#pragma once

#include "queue/queue.hpp"

namespace fairq::queue {

// Looks at the next lane or more by the index, whoever is in the ring, and into their gaps.
void survey(const shared::ring::Ring &ring, tables::LiveTable &table);

} // namespace fairq::queue
