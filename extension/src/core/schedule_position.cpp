// Whose turn comes before a lane's: see turn.hpp.
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
        auto const place = static_cast<std::size_t>(next);
        before += served[place] ? 0 : 1;
        served[place] = true;
    }
    return before;
}

} // namespace fairq::core
