// How far away a lane's turn is.
#pragma once

#include "core/schedule.hpp"

namespace fairq::core {

// How many other lanes would be served before this one, which is in the schedule, if everybody could be
// served. Plays that through on a copy: pick() moves clock and heaps. It stops after twenty thousand jobs,
// and a large number may therefore be too small.
int lanes_before(int lane, std::vector<ScheduledLane> lanes, ScheduleState state);

} // namespace fairq::core
