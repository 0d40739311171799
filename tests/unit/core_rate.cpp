// core/rate: how many jobs a rate limit lets go. First a table of cases, then properties over random cases.
#include "core/rate.hpp"

#include "core_seed.hpp"

#include <algorithm>
#include <climits>
#include <cmath>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace fairq::test {
namespace {

using core::admits_at;
using core::admitted;
using core::charged;
using core::Rate;

constexpr std::int64_t kSecond = 1000000;
constexpr std::int64_t kHour = 3600 * kSecond;
constexpr std::int64_t kNow = 840000000 * kSecond; // in August 2026, counted from the year 2000 on

struct Case {
    const char *name;
    Rate rate;
    std::int64_t ahead; // tat - kNow; kNever: no tat
    int wanted, admitted;
    std::int64_t wait; // admits_at - kNow, at least 0
};

constexpr std::int64_t kNever = INT64_MIN;

std::int64_t tat_of(const Case &each) {
    return each.ahead == kNever ? 0 : kNow + each.ahead;
}

class RateLimit : public testing::TestWithParam<Case> {};

TEST_P(RateLimit, admits_what_burst_and_rate_allow) {
    Case const &each = GetParam();
    EXPECT_EQ(admitted(each.rate, tat_of(each), kNow, each.wanted), each.admitted);
    EXPECT_EQ(std::max<std::int64_t>(admits_at(each.rate, tat_of(each), kNow, each.wanted) - kNow, 0),
              each.wait);
}

const Case kTable[] = {
    {"never_used_gives_the_burst", {1, 10}, kNever, 50, 10, 0},
    {"never_used_gives_what_is_wanted", {1, 10}, kNever, 3, 3, 0},
    {"nothing_wanted", {1, 10}, kNever, 0, 0, 0},
    {"less_than_nothing_wanted", {1, 10}, kNever, -5, 0, 0},
    {"used_long_ago_gives_no_more_than_the_burst", {1, 10}, -kHour, 50, 10, 0},
    {"half_of_the_burst_is_used", {1, 10}, 5 * kSecond, 50, 5, 5 * kSecond},
    {"all_of_the_burst_is_used", {1, 10}, 10 * kSecond, 1, 0, kSecond},
    {"a_microsecond_too_early", {1, 10}, 9 * kSecond + 1, 1, 0, 1},
    {"just_in_time", {1, 10}, 9 * kSecond, 1, 1, 0},
    {"a_burst_of_one", {2, 1}, kSecond / 2, 1, 0, kSecond / 2},
    {"a_rate_that_is_no_whole_number", {0.5, 1}, 2 * kSecond, 1, 0, 2 * kSecond},
    {"an_old_lower_rate_does_not_lock_out", {1, 10}, 1000 * kHour, 50, 1, 9 * kSecond},
    {"a_tiny_rate", {1e-6, 1}, 1000000 * kSecond, 1, 0, 1000000 * kSecond},
    {"a_huge_rate", {1e6, 1000000}, 999999, 50, 1, 49},
    {"a_huge_burst", {1, INT_MAX}, kNever, INT_MAX, INT_MAX, 0},
};

INSTANTIATE_TEST_SUITE_P(Table, RateLimit, testing::ValuesIn(kTable),
                         [](const auto &test) { return std::string(test.param.name); });

TEST(RateCharge, is_one_interval_a_job) {
    Rate const rate{4, 10};
    EXPECT_EQ(charged(rate, 0, kNow, 1), kNow + kSecond / 4);
    EXPECT_EQ(charged(rate, kNow - kHour, kNow, 3), kNow + 3 * kSecond / 4);
    EXPECT_EQ(charged(rate, kNow + kSecond, kNow, 4), kNow + 2 * kSecond);
    EXPECT_EQ(charged(rate, kNow + kSecond, kNow, 0), kNow + kSecond);
}

TEST(RateCharge, is_rounded_up) {
    EXPECT_EQ(charged({3, 1}, 0, kNow, 1), kNow + 333334);
    EXPECT_EQ(charged({3, 3}, 0, kNow, 3), kNow + kSecond);
    EXPECT_EQ(charged({1e9, 1}, 0, kNow, 1), kNow + 1);
}

// 10^9 jobs at 10^-6 a second take 30 million years.
TEST(RateCharge, does_not_overflow) {
    Rate const rate{1e-6, 1000000000};
    int const first = admitted(rate, 0, kNow, INT_MAX);
    EXPECT_GT(first, 2000000);
    std::int64_t tat = charged(rate, 0, kNow, first);
    EXPECT_GT(tat, kNow);
    EXPECT_EQ(admitted(rate, tat, kNow, INT_MAX), 0);
    EXPECT_GT(admits_at(rate, tat, kNow, 1), kNow);
    EXPECT_EQ(admitted(rate, tat, kNow + 3000000 * kSecond, INT_MAX), 3);
    for (int i = 0; i < 10; ++i)
        tat = charged(rate, tat, kNow, INT_MAX); // jobs that were not admitted
    EXPECT_GT(tat, kNow);
    EXPECT_LE(admitted(rate, tat, kNow, INT_MAX), 1);
    EXPECT_GT(charged({1e-300, 1}, INT64_MAX, INT64_MAX - 1, INT_MAX), kNow);
    EXPECT_EQ(admitted({1e-300, 5}, 0, kNow, 5), 1);
    EXPECT_EQ(admitted({1e300, 5}, kNow + 1, kNow + 1, 5), 5);
}

TEST(RateChange, acts_at_once) {
    std::int64_t const tat = charged({1, 10}, 0, kNow, 10); // 10 seconds ahead
    EXPECT_EQ(admitted({1, 10}, tat, kNow, 10), 0);
    EXPECT_EQ(admitted({1, 15}, tat, kNow, 10), 5); // a larger burst
    EXPECT_EQ(admits_at({0.5, 10}, tat, kNow, 10) - kNow, 10 * kSecond);
    EXPECT_EQ(admitted({0.5, 10}, tat, kNow, 10), 5);             // the same time is worth half as many jobs
    EXPECT_EQ(admitted({2, 10}, tat, kNow + 5 * kSecond, 10), 0); // 5 seconds ahead: all of a burst of 10
    EXPECT_EQ(admitted({2, 10}, tat, kNow + 6 * kSecond, 10), 2);
}

// The old tat is a year ahead; there is a call each second, which takes as many jobs as it gets.
TEST(RateChange, from_a_much_lower_rate_neither_locks_out_nor_gives_a_second_burst) {
    Rate const rate{1, 10};
    std::int64_t tat = kNow + 8760 * kHour;
    for (int second = 0; second < 100; ++second) {
        std::int64_t const now = kNow + second * kSecond;
        EXPECT_EQ(admitted(rate, tat, now, 50), 1) << second;
        tat = charged(rate, tat, now, 1);
        EXPECT_LE(tat, now + 10 * kSecond);
    }
}

TEST(RateClock, that_is_set_back_does_not_lock_the_lane_out) {
    Rate const rate{5, 20};
    std::int64_t tat = charged(rate, 0, kNow, 20);
    std::int64_t const now = kNow - 10 * kHour;
    int const at_once = admitted(rate, tat, now, 100);
    EXPECT_EQ(at_once, 1);
    tat = charged(rate, tat, now, at_once);
    EXPECT_EQ(admitted(rate, tat, now, 100), 0);
    EXPECT_EQ(admitted(rate, tat, now + kSecond, 100), 5);
    EXPECT_EQ(admitted(rate, tat, now + 4 * kSecond, 100), 20);
}

TEST(RateClock, before_the_year_2000_is_no_exception) {
    Rate const rate{1, 5};
    EXPECT_EQ(admitted(rate, 0, -kHour, 9), 5);
    EXPECT_EQ(charged(rate, 0, -kHour, 5), -kHour + 5 * kSecond);
    EXPECT_EQ(admitted(rate, -kHour + 5 * kSecond, -kHour, 9), 0);
}

// ------------------------------------------------------------------------------------------ properties

Rate random_rate(std::mt19937_64 &random) {
    double const exponent = std::uniform_real_distribution<double>(-3, 6)(random);
    return {std::pow(10, exponent), number_in(random, 1, number_in(random, 0, 1) == 0 ? 5 : 1000)};
}

// The time in which the rate lets so many jobs go, at random.
std::int64_t random_step(std::mt19937_64 &random, const Rate &rate, double jobs) {
    double const most = jobs * 1e6 / rate.per_second;
    return static_cast<std::int64_t>(std::uniform_real_distribution<double>(0, most)(random));
}

// In any window that begins and ends with a claim, no more than burst + rate * elapsed jobs have gone.
void expect_no_window_above(const Rate &rate, const std::vector<std::pair<std::int64_t, int>> &gone) {
    for (std::size_t from = 0; from < gone.size(); ++from) {
        std::int64_t jobs = 0;
        for (std::size_t to = from; to < gone.size(); ++to) {
            jobs += gone[to].second;
            double const elapsed = static_cast<double>(gone[to].first - gone[from].first);
            double const most = rate.burst + rate.per_second * elapsed / 1e6;
            ASSERT_LE(static_cast<double>(jobs), most + 1e-6)
                << rate.per_second << "/s, burst " << rate.burst;
        }
    }
}

TEST(RateProperties, no_window_has_more_than_burst_plus_rate_times_its_length) {
    std::mt19937_64 random = seeded_random();
    for (int i = 0; i < 2000 && !testing::Test::HasFailure(); ++i) {
        Rate const rate = random_rate(random);
        std::int64_t tat = 0, now = kNow;
        std::vector<std::pair<std::int64_t, int>> gone;
        for (int call = 0; call < 60; ++call) {
            int const wanted = number_in(random, 1, 2 * rate.burst);
            int const jobs = admitted(rate, tat, now, wanted);
            ASSERT_LE(jobs, wanted);
            gone.emplace_back(now, jobs);
            tat = charged(rate, tat, now, jobs);
            now += random_step(random, rate, number_in(random, 0, 3) == 0 ? 2 * rate.burst : 3);
        }
        expect_no_window_above(rate, gone);
    }
}

TEST(RateProperties, admits_at_is_the_first_microsecond_at_which_they_may_go) {
    std::mt19937_64 random = seeded_random();
    for (int i = 0; i < 100000 && !testing::Test::HasFailure(); ++i) {
        Rate const rate = random_rate(random);
        std::int64_t const tat = kNow + random_step(random, rate, rate.burst);
        int const wanted = number_in(random, 1, rate.burst + 3);
        int const possible = std::min(wanted, rate.burst);
        std::int64_t const at = admits_at(rate, tat, kNow, wanted);
        SCOPED_TRACE(testing::Message() << rate.per_second << "/s, burst " << rate.burst << ", " << wanted
                                        << " wanted, tat in " << tat - kNow);
        EXPECT_EQ(admitted(rate, tat, std::max(at, kNow), wanted), possible);
        EXPECT_EQ(admitted(rate, tat, kNow, wanted) == possible, at <= kNow);
        if (at > kNow) {
            EXPECT_LT(admitted(rate, tat, at - 1, wanted), possible);
        }
    }
}

// One job a call, at the first moment at which it may go, once the burst is used up.
TEST(RateProperties, the_rate_is_reached_within_one_per_cent) {
    std::mt19937_64 random = seeded_random();
    for (int i = 0; i < 500; ++i) {
        Rate rate = random_rate(random);
        rate.per_second = std::min(rate.per_second, 1e4);
        std::int64_t tat = charged(rate, 0, kNow, rate.burst);
        std::int64_t const from = admits_at(rate, tat, kNow, 1);
        std::int64_t now = from;
        int const calls = 2000;
        for (int call = 0; call < calls; ++call) {
            now = std::max(now, admits_at(rate, tat, now, 1));
            ASSERT_EQ(admitted(rate, tat, now, 1), 1);
            tat = charged(rate, tat, now, 1);
        }
        double const expected = (calls - 1) * 1e6 / rate.per_second;
        ASSERT_NEAR(static_cast<double>(now - from) / expected, 1, 0.01) << rate.per_second;
    }
}

TEST(RateProperties, a_million_a_second_are_reached_in_claims_of_many) {
    Rate const rate{1e6, 1000};
    std::int64_t tat = 0, gone = 0;
    for (std::int64_t now = kNow; now < kNow + kSecond; now += 500) {
        int const jobs = admitted(rate, tat, now, 10000);
        tat = charged(rate, tat, now, jobs);
        gone += jobs;
    }
    EXPECT_NEAR(static_cast<double>(gone), 1e6, 1e4);
}

TEST(RateProperties, random_changes_and_clocks_never_give_more_than_the_burst_at_once) {
    std::mt19937_64 random = seeded_random();
    std::int64_t tat = 0, now = kNow;
    for (int i = 0; i < 100000; ++i) {
        Rate const rate = random_rate(random);
        now += number_in(random, -1000000, 1000000);
        int const jobs = admitted(rate, tat, now, INT_MAX);
        ASSERT_GE(jobs, 0);
        ASSERT_LE(jobs, rate.burst);
        tat = charged(rate, tat, now, jobs);
        // At one moment and one rate, a second call gets nothing, also when the tat came from a former rate.
        ASSERT_EQ(admitted(rate, tat, now, INT_MAX), 0);
        ASSERT_LE(admits_at(rate, tat, now, 1) - now,
                  static_cast<std::int64_t>(rate.burst * 1e6 / rate.per_second) + 2);
    }
}

} // namespace
} // namespace fairq::test
