// When calls are planned, and for whom.
#include <algorithm>
#include <map>
#include <set>

#include <gtest/gtest.h>

#include "plan/mix.hpp"
#include "plan/schedule.hpp"

using namespace fairq::driver;

namespace {

std::vector<double> times(const std::vector<plan::Stage> &stages, bool poisson = false,
                          std::uint64_t seed = 1) {
    plan::Schedule schedule(stages, poisson, seed);
    std::vector<double> all;
    while (const auto next = schedule.next())
        all.push_back(*next);
    return all;
}

std::size_t between(const std::vector<double> &all, double from, double to) {
    return static_cast<std::size_t>(
        std::count_if(all.begin(), all.end(), [&](double t) { return t >= from && t < to; }));
}

std::map<long long, int> drawn(plan::Spread spread, long long members, int count) {
    plan::Mix mix(spread, members, 5);
    std::map<long long, int> counts;
    for (int i = 0; i < count; ++i)
        ++counts[mix.next()];
    return counts;
}

} // namespace

TEST(ScheduleTest, a_rate_plans_calls_at_even_distances_the_first_at_once) {
    const auto all = times({{Milliseconds(2000), 5, false}});
    ASSERT_EQ(all.size(), 10U);
    for (std::size_t i = 0; i < all.size(); ++i)
        EXPECT_NEAR(all[i], static_cast<double>(i) * 0.2, 1e-9);
}

TEST(ScheduleTest, a_ramp_grows_evenly_and_a_stage_without_one_jumps) {
    const std::vector<plan::Stage> stages{
        {Milliseconds(10'000), 100, true}, {Milliseconds(1000), 500, false}, {Milliseconds(10'000), 0, true}};
    const auto all = times(stages);
    EXPECT_DOUBLE_EQ(plan::planned_calls(stages), 500 + 500 + 2500);
    EXPECT_EQ(all.size(), 3500U);
    EXPECT_NEAR(static_cast<double>(between(all, 0, 5)), 125, 2);
    EXPECT_NEAR(static_cast<double>(between(all, 5, 10)), 375, 2);
    EXPECT_NEAR(static_cast<double>(between(all, 10, 11)), 500, 2);
    EXPECT_NEAR(static_cast<double>(between(all, 11, 16)), 1875, 2);
    EXPECT_TRUE(std::is_sorted(all.begin(), all.end()));
}

TEST(ScheduleTest, independent_users_come_at_random_with_the_same_mean_and_the_seed_fixes_when) {
    const std::vector<plan::Stage> stages{{Milliseconds(100'000), 100, false}};
    const auto all = times(stages, true, 3);
    EXPECT_NEAR(static_cast<double>(all.size()), 10'000, 500); // five standard deviations
    EXPECT_EQ(all, times(stages, true, 3));
    EXPECT_NE(all, times(stages, true, 4));
    std::size_t close = 0;
    for (std::size_t i = 1; i < all.size(); ++i)
        close += all[i] - all[i - 1] < 0.001 ? 1U : 0U;
    EXPECT_NEAR(static_cast<double>(close) / static_cast<double>(all.size()), 0.095, 0.02) << "1 - e^-0.1";
}

TEST(ScheduleTest, a_rate_of_zero_plans_nothing) {
    EXPECT_TRUE(times({{Milliseconds(1000), 0, false}}).empty());
    EXPECT_EQ(times({{Milliseconds(1000), 0, false}, {Milliseconds(1000), 3, false}}).front(), 1.0);
}

TEST(MixTest, even_tenants_take_turns_and_the_seed_fixes_their_order) {
    const auto order = [](std::uint64_t seed) {
        plan::Mix mix(plan::Spread::even, 10, seed);
        std::vector<long long> members(105);
        std::generate(members.begin(), members.end(), [&] { return mix.next(); });
        return members;
    };
    EXPECT_EQ(order(42), order(42));
    EXPECT_NE(order(42), order(43));
    const auto members = order(42);
    for (std::size_t round = 0; round + 10 <= members.size(); round += 10)
        EXPECT_EQ(std::set<long long>(members.begin() + static_cast<long>(round),
                                      members.begin() + static_cast<long>(round) + 10)
                      .size(),
                  10U)
            << "round " << round / 10;
    for (const auto &[member, count] : drawn(plan::Spread::even, 7, 700))
        EXPECT_EQ(count, 100) << member;
}

TEST(MixTest, zipfs_first_has_twice_as_many_as_its_second) {
    const auto counts = drawn(plan::Spread::zipf, 100, 100'000);
    EXPECT_NEAR(static_cast<double>(counts.at(1)) / counts.at(2), 2, 0.15);
    EXPECT_NEAR(static_cast<double>(counts.at(1)) / counts.at(10), 10, 1.5);
    EXPECT_EQ(counts.size(), 100U);
}

TEST(MixTest, one_floods_and_the_others_are_there) {
    const auto counts = drawn(plan::Spread::flood, 11, 11'000);
    EXPECT_NEAR(counts.at(1), 10'000, 300);
    EXPECT_EQ(counts.size(), 11U);
}
