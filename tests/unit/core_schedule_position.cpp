// core/schedule_position: the number of lanes that it says are served before one is what the schedule then
// does.
#include "core/schedule_position.hpp"

#include "core_lanes.hpp"
#include "core_seed.hpp"

#include <set>

#include <gtest/gtest.h>

namespace fairq::test {
namespace {

int before(const Lanes &lanes, int lane) {
    return core::lanes_before(lane, lanes.all(), lanes.state());
}

TEST(SchedulePosition, of_equals_is_in_the_order_in_which_they_came) {
    Lanes lanes(3);
    for (int const lane : {2, 0, 1})
        lanes.schedule.enter(lane, 1);
    EXPECT_EQ(before(lanes, 2), 0);
    EXPECT_EQ(before(lanes, 0), 1);
    EXPECT_EQ(before(lanes, 1), 2);
}

TEST(SchedulePosition, counts_a_heavy_lane_once_and_changes_nothing) {
    Lanes lanes(Numbers{1000, 1});
    lanes.schedule.pick();
    lanes.schedule.pass_over(1);
    double const now = lanes.schedule.now();
    EXPECT_EQ(before(lanes, 1), 1);
    EXPECT_EQ(lanes.schedule.now(), now);
    EXPECT_EQ(lanes.schedule.pick(), 0);
}

TEST(SchedulePosition, is_what_the_next_picks_do) {
    std::mt19937_64 random = seeded_random();
    for (int round = 0; round < 300; ++round) {
        Numbers weights(static_cast<std::size_t>(number_in(random, 1, 6)));
        for (int &weight : weights)
            weight = number_in(random, 1, number_in(random, 0, 1) == 0 ? 3 : 1000);
        Lanes lanes(weights);
        auto const any = [&] { return number_in(random, 0, static_cast<int>(weights.size()) - 1); };
        for (int i = number_in(random, 0, 100); i > 0; --i) {
            if (number_in(random, 0, 3) == 0)
                lanes.schedule.pass_over(any());
            if (number_in(random, 0, 9) == 0)
                lanes.schedule.leave(any());
            if (number_in(random, 0, 3) == 0)
                lanes.schedule.enter(any(), number_in(random, 1, 9));
            lanes.schedule.pick();
        }
        int const lane = any();
        lanes.schedule.enter(lane, number_in(random, 1, 9));
        int const predicted = before(lanes, lane);
        std::set<int> served;
        for (int next = lanes.schedule.pick(); next != lane; next = lanes.schedule.pick())
            served.insert(next);
        ASSERT_EQ(predicted, static_cast<int>(served.size())) << "round " << round;
    }
}

TEST(SchedulePosition, of_the_last_of_many_is_found_in_bounded_time) {
    Lanes lanes(Numbers(100'000, 1));
    EXPECT_EQ(before(lanes, 99'999), 20'000);
}

} // namespace
} // namespace fairq::test
