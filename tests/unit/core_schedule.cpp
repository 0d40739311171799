// core/schedule: which lane is served next. First its behaviour, then properties over random schedules.
#include "core/schedule.hpp"

#include "core_lanes.hpp"
#include "core_seed.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>

#include <gtest/gtest.h>

namespace fairq::test {
namespace {

constexpr double kRounding = 1e-6;

Numbers random_weights(std::mt19937_64 &random, int most_lanes) {
    Numbers weights(static_cast<std::size_t>(number_in(random, 1, most_lanes)));
    int const most = number_in(random, 0, 1) == 0 ? 5 : 1000;
    for (int &weight : weights)
        weight = number_in(random, 1, most);
    return weights;
}

// After each of so many picks, every lane has got its share of all picks so far, within one job.
void expect_shares(Lanes &lanes, const Numbers &weights, int picks) {
    Numbers served(weights.size());
    double const all = sum_of(weights);
    for (int jobs = 1; jobs <= picks; ++jobs) {
        ++served.at(static_cast<std::size_t>(lanes.schedule.pick()));
        for (std::size_t lane = 0; lane < weights.size(); ++lane)
            ASSERT_LE(std::fabs(served[lane] - jobs * weights[lane] / all), 1 + kRounding)
                << "lane " << lane << " of weight " << weights[lane] << " after " << jobs << " jobs";
    }
}

TEST(Schedule, of_zeroes_is_empty) {
    Lanes lanes(3);
    EXPECT_EQ(lanes.schedule.pick(), -1);
    EXPECT_EQ(lanes.schedule.lanes(), 0);
    EXPECT_EQ(lanes.schedule.now(), 0);
    EXPECT_FALSE(lanes.schedule.contains(0));
}

TEST(Schedule, of_one_lane_serves_it_always) {
    Lanes lanes(Numbers{7});
    EXPECT_EQ(lanes.picked(1000), Numbers{1000});
    EXPECT_NEAR(lanes.schedule.now(), 1000.0 / 7, kRounding);
}

TEST(Schedule, serves_equals_in_the_order_in_which_they_came) {
    Lanes lanes(4);
    for (int const lane : {2, 0, 3, 1})
        lanes.schedule.enter(lane, 10);
    for (int round = 0; round < 100; ++round)
        for (int const lane : {2, 0, 3, 1})
            ASSERT_EQ(lanes.schedule.pick(), lane);
}

// Earliest deadline alone would serve the heavy lane three times in a row, earliest start alone would let it
// wait for all the others. (Weights are powers of two: ties are ties.)
TEST(Schedule, spreads_the_jobs_of_a_heavy_lane) {
    Lanes lanes({4, 1, 1, 1, 1});
    for (int round = 0; round < 5; ++round)
        for (int const lane : {0, 1, 0, 2, 0, 3, 4, 0})
            ASSERT_EQ(lanes.schedule.pick(), lane);
}

TEST(Schedule, forgets_a_lane_that_leaves) {
    Lanes lanes({1, 1, 1});
    lanes.schedule.leave(1);
    lanes.schedule.leave(1);
    EXPECT_EQ(lanes.schedule.lanes(), 2);
    EXPECT_FALSE(lanes.schedule.contains(1));
    EXPECT_EQ(lanes.picked(10), (Numbers{5, 0, 5}));
    lanes.schedule.leave(0);
    lanes.schedule.leave(2);
    EXPECT_EQ(lanes.schedule.pick(), -1);
    EXPECT_EQ(lanes.schedule.lanes(), 0);
}

TEST(Schedule, takes_a_weight_out_of_range_for_the_nearest) {
    Lanes lanes({-5, 100000});
    EXPECT_EQ(lanes[0].weight, 1);
    EXPECT_EQ(lanes[1].weight, 1000);
}

TEST(Schedule, skips_a_held_lane_and_goes_on_as_if_it_had_not_been_held) {
    Lanes lanes({1, 1, 2});
    lanes.schedule.hold(2);
    EXPECT_EQ(lanes.picked(100), (Numbers{50, 50, 0}));
    EXPECT_TRUE(lanes.schedule.contains(2));
    lanes.schedule.resume(2);
    EXPECT_EQ(lanes.picked(100), (Numbers{25, 25, 50}));
}

TEST(Schedule, serves_a_lane_again_that_gave_its_job_back) {
    Lanes lanes({1, 1});
    EXPECT_EQ(lanes.schedule.pick(), 0);
    lanes.schedule.give_back(0, 1);
    EXPECT_NEAR(lanes.schedule.now(), 0, kRounding);
    EXPECT_EQ(lanes.schedule.pick(), 1);
    EXPECT_EQ(lanes.schedule.pick(), 0);
    EXPECT_NEAR(lanes.schedule.now(), 1, kRounding);
}

// The 40 jobs that the first lane could not use must not delay a lane that came meanwhile.
TEST(Schedule, gives_back_at_no_other_lanes_expense) {
    Lanes lanes(3);
    lanes.schedule.enter(0, 1);
    lanes.schedule.enter(1, 1);
    EXPECT_EQ(lanes.picked(80), (Numbers{40, 40, 0}));
    lanes.schedule.enter(2, 1);
    lanes.schedule.give_back(0, 40);
    lanes.schedule.leave(0);
    EXPECT_EQ(lanes.picked(20), (Numbers{0, 10, 10}));
}

TEST(Schedule, takes_back_from_a_lane_that_has_left) {
    Lanes lanes({1, 1});
    lanes.picked(20);
    lanes.schedule.leave(0);
    lanes.schedule.give_back(0, 10);
    EXPECT_EQ(lanes.picked(5), (Numbers{0, 5}));
    lanes.schedule.enter(0, 1);
    EXPECT_NEAR(lanes.picked(20)[0], 10, 1);
    Lanes never(1);
    never.schedule.give_back(0, 5);
    EXPECT_EQ(never[0].start, 0);
}

// ------------------------------------------------------------------------------------------ passing over

TEST(SchedulePassOver, waits_longer_each_time_until_served) {
    Lanes lanes({100, 1});
    double const steps[] = {0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1, 1, 1};
    for (double const step : steps) {
        double const from = std::max(lanes[0].start, lanes.schedule.now());
        lanes.schedule.pass_over(0);
        EXPECT_NEAR(lanes[0].start, from + step, kRounding);
    }
    lanes.schedule.served(0);
    double const from = lanes[0].start;
    lanes.schedule.pass_over(0);
    EXPECT_NEAR(lanes[0].start, from + 0.01, kRounding);
}

TEST(SchedulePassOver, of_all_lanes_still_comes_back_to_them) {
    Lanes lanes({1, 1000, 30});
    Numbers served(3);
    for (int i = 0; i < 3000; ++i) {
        int const lane = lanes.schedule.pick();
        ASSERT_GE(lane, 0);
        ++served[static_cast<std::size_t>(lane)];
        lanes.schedule.give_back(lane, 1);
        lanes.schedule.pass_over(lane);
    }
    for (int const times : served)
        EXPECT_GT(times, 900);
}

// 900 of 1,000 lanes are blocked. While each open lane gets one job, a blocked lane is picked at most once.
TEST(SchedulePassOver, of_most_lanes_starves_none_of_the_open_ones) {
    std::mt19937_64 random = seeded_random();
    int const count = 1000, open = 100, rounds = 50;
    Numbers order(count);
    std::iota(order.begin(), order.end(), 0);
    std::shuffle(order.begin(), order.end(), random);
    Lanes lanes(count);
    for (int const lane : order)
        lanes.schedule.enter(lane, 1);
    Numbers served(count);
    int picks = 0;
    for (int jobs = 0; jobs < open * rounds; ++picks) {
        int const lane = lanes.schedule.pick();
        if (lane >= open) {
            lanes.schedule.give_back(lane, 1);
            lanes.schedule.pass_over(lane);
            continue;
        }
        lanes.schedule.served(lane);
        ++jobs;
        ++served[static_cast<std::size_t>(lane)];
        int const round = jobs / open;
        for (int other = 0; other < open && jobs % open == 0; ++other)
            ASSERT_NEAR(served[static_cast<std::size_t>(other)], round, 1);
    }
    EXPECT_LE(picks, (rounds + 2) * count);
}

// A lane that was blocked for long gets its share from when it is open on, and not what it has missed.
TEST(SchedulePassOver, saves_nothing_up) {
    Lanes lanes({10, 10, 10});
    for (int jobs = 0; jobs < 1000;) {
        int const lane = lanes.schedule.pick();
        if (lane != 0) {
            ++jobs;
            continue;
        }
        lanes.schedule.give_back(0, 1);
        lanes.schedule.pass_over(0);
    }
    lanes.picked(30); // the lane is due again within the time of one job of a lane of weight 1
    EXPECT_NEAR(lanes.picked(300)[0], 100, 1);
}

// ------------------------------------------------------------------------------------------ shares

TEST(ScheduleProperties, every_lane_is_within_one_job_of_its_share_at_any_moment) {
    std::mt19937_64 random = seeded_random();
    for (int i = 0; i < 1000 && !testing::Test::HasFailure(); ++i) {
        Numbers const weights = random_weights(random, 30);
        Lanes lanes(weights);
        expect_shares(lanes, weights, 500);
    }
}

TEST(ScheduleProperties, one_heavy_lane_among_many_light_ones_is_too) {
    Numbers weights(501, 1);
    for (std::size_t const heavy : {0, 250, 500}) {
        std::fill(weights.begin(), weights.end(), 1);
        weights[heavy] = 1000;
        Lanes lanes(weights);
        expect_shares(lanes, weights, 6000);
    }
}

// After a long time, rounding must not have moved the clock away from the lanes.
TEST(ScheduleProperties, shares_are_kept_after_millions_of_jobs) {
    Numbers const weights{1000, 333, 7, 1, 1};
    Lanes lanes(weights);
    lanes.picked(5 * 1342 * 1000);
    expect_shares(lanes, weights, 3 * 1342);
    EXPECT_NEAR(lanes.schedule.now(), 5003, 0.01);
}

TEST(ScheduleProperties, a_newcomer_gets_its_share_from_now_on) {
    std::mt19937_64 random = seeded_random();
    for (int i = 0; i < 2000 && !testing::Test::HasFailure(); ++i) {
        Numbers const weights = random_weights(random, 12);
        int const newcomer = static_cast<int>(weights.size()) - 1;
        Lanes lanes(static_cast<int>(weights.size()));
        for (int lane = 0; lane < newcomer; ++lane)
            lanes.schedule.enter(lane, weights[static_cast<std::size_t>(lane)]);
        for (int jobs = number_in(random, 0, 2000); newcomer > 0 && jobs > 0; --jobs)
            lanes.schedule.pick();
        lanes.schedule.enter(newcomer, weights.back());
        int served = 0;
        for (int jobs = 1; jobs <= 300; ++jobs) {
            served += lanes.schedule.pick() == newcomer ? 1 : 0;
            ASSERT_LE(std::fabs(served - 1.0 * jobs * weights.back() / sum_of(weights)), 1 + kRounding);
        }
    }
}

TEST(ScheduleProperties, a_lane_that_comes_back_has_saved_nothing_up) {
    Lanes lanes({1, 10, 10});
    lanes.picked(50);
    lanes.schedule.leave(1);
    lanes.picked(11000);
    lanes.schedule.enter(1, 10);
    Numbers const next = lanes.picked(210);
    EXPECT_NEAR(next[0], 10, 1);
    EXPECT_NEAR(next[1], 100, 1);
    EXPECT_NEAR(next[2], 100, 1);
}

// The lane leaves whenever it has got a job, and at other moments.
TEST(ScheduleProperties, leaving_and_coming_back_gains_nothing) {
    std::mt19937_64 random = seeded_random();
    for (int i = 0; i < 2000 && !testing::Test::HasFailure(); ++i) {
        Numbers const weights = random_weights(random, 8);
        Lanes lanes(weights);
        int served = 0;
        for (int jobs = 1; jobs <= 300; ++jobs) {
            bool const mine = lanes.schedule.pick() == 0;
            served += mine ? 1 : 0;
            ASSERT_LE(served, 1.0 * jobs * weights[0] / sum_of(weights) + 1 + kRounding);
            if (mine || number_in(random, 0, 5) == 0) {
                lanes.schedule.leave(0);
                lanes.schedule.enter(0, weights[0]);
            }
        }
    }
}

TEST(ScheduleProperties, a_changed_weight_acts_on_the_next_picks) {
    std::mt19937_64 random = seeded_random();
    for (int i = 0; i < 2000 && !testing::Test::HasFailure(); ++i) {
        Numbers weights = random_weights(random, 10);
        Lanes lanes(weights);
        lanes.picked(number_in(random, 0, 500));
        weights[0] = number_in(random, 1, 1000);
        lanes.schedule.set_weight(0, weights[0]);
        int served = 0;
        for (int jobs = 1; jobs <= 300; ++jobs) {
            served += lanes.schedule.pick() == 0 ? 1 : 0;
            // one job that the lane was ahead or behind at the change, and one as at any moment
            ASSERT_LE(std::fabs(served - 1.0 * jobs * weights[0] / sum_of(weights)), 2 + kRounding);
        }
    }
}

TEST(ScheduleProperties, giving_everything_back_undoes_everything) {
    std::mt19937_64 random = seeded_random();
    for (int i = 0; i < 2000 && !testing::Test::HasFailure(); ++i) {
        Numbers const weights = random_weights(random, 10);
        Lanes lanes(weights);
        Numbers const served = lanes.picked(number_in(random, 0, 500));
        for (std::size_t lane = 0; lane < weights.size(); ++lane)
            lanes.schedule.give_back(static_cast<int>(lane), served[lane]);
        ASSERT_NEAR(lanes.schedule.now(), 0, kRounding);
        expect_shares(lanes, weights, 100);
    }
}

TEST(ScheduleProperties, a_hundred_thousand_lanes_get_their_shares_in_bounded_time) {
    int const count = 100000;
    Lanes lanes(count);
    auto const before = std::chrono::steady_clock::now();
    for (int lane = 0; lane < count; ++lane)
        lanes.schedule.enter(lane, 1 + lane % 1000);
    for (int lane = 0; lane < count; lane += 3)
        lanes.schedule.leave(lane);
    for (int lane = 0; lane < count; lane += 3)
        lanes.schedule.enter(lane, 1);
    Numbers const served = lanes.picked(10 * count);
    EXPECT_LT(std::chrono::steady_clock::now() - before, std::chrono::seconds(10));
    double const all = static_cast<double>(lanes.state().weight);
    for (int lane = 0; lane < count; ++lane)
        ASSERT_NEAR(served[static_cast<std::size_t>(lane)], 10.0 * count * lanes[lane].weight / all, 1.001);
    for (int lane = 0; lane < count; ++lane)
        lanes.schedule.leave(lane);
    EXPECT_EQ(lanes.schedule.pick(), -1);
    EXPECT_EQ(lanes.state().weight, 0);
}

} // namespace
} // namespace fairq::test
