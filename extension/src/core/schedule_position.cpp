// Plays the schedule through until a lane is served (see schedule_position.hpp).
#include "core/schedule_position.hpp"

namespace fairq::core {

namespace {

constexpr int kMostPicks = 20000; // some milliseconds

} // namespace

int lanes_before(int lane, std::vector<ScheduledLane> lanes, ScheduleState state) {
    Schedule schedule(lanes.data(), state);
    std::vector<bool> served(lanes.size());
    int before = 0;
    for (int i = 0; i < kMostPicks; ++i) {
        int const next = schedule.pick();
        if (next == lane || next < 0)
            break;
        auto const index = static_cast<std::size_t>(next);
        before += served[index] ? 0 : 1;
        served[index] = true;
    }
    return before;
}

} // namespace fairq::core
