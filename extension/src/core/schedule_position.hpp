// The position of a lane in the schedule: how many lanes are served before it.
#pragma once

#include "core/schedule.hpp"

namespace fairq::core {

// How many other lanes would be served before this one, which is in the schedule, if every lane could be
// served. It plays that through on a copy, because pick() moves clock and heaps. It stops after twenty
// thousand jobs, so that a large result may be too small.
int lanes_before(int lane, std::vector<ScheduledLane> lanes, ScheduleState state);

} // namespace fairq::core
