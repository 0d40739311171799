// core/share: the fair division of one claim. Table cases, then properties over random cases against a
// reference that deals jobs one by one.
#include "core/share.hpp"

#include "core_seed.hpp"

#include <algorithm>
#include <cstdint>
#include <numeric>

#include <gtest/gtest.h>

namespace fairq::test {
namespace {

using core::kUnknown;
using core::max_min_shares;
using core::rotation_point;
using Parts = std::vector<int>;

constexpr int kRandomCases = 100000;
constexpr int kNoCap = INT32_MAX;

struct Division {
    const char *name;
    Parts demands;
    int total, cap;
    Parts parts;
};

void PrintTo(const Division &division, std::ostream *out) {
    *out << division.name;
}

class MaxMinShares : public testing::TestWithParam<Division> {};

TEST_P(MaxMinShares, divides_as_the_table_says) {
    Division const &division = GetParam();
    EXPECT_EQ(max_min_shares(division.demands, division.total, division.cap), division.parts);
}

const Division kTable[] = {
    {"no_lanes", {}, 50, 25, {}},
    {"nothing_to_give", {5, kUnknown}, 0, 25, {0, 0}},
    {"a_negative_total_gives_nothing", {5, kUnknown}, -3, 25, {0, 0}},
    {"a_lone_lane_gets_everything", {kUnknown}, 50, kNoCap, {50}},
    {"the_cap_holds_a_lone_lane_back", {kUnknown}, 50, 25, {25}},
    {"even_parts", {kUnknown, kUnknown}, 50, 25, {25, 25}},
    {"rests_go_to_the_first_lanes", {kUnknown, kUnknown, kUnknown}, 11, 25, {4, 4, 3}},
    {"fewer_jobs_than_lanes", {kUnknown, kUnknown, kUnknown}, 2, 25, {1, 1, 0}},
    {"what_one_cannot_use_the_others_get", {2, kUnknown, kUnknown}, 20, 25, {2, 9, 9}},
    {"an_empty_lane_gets_nothing", {0, kUnknown}, 10, 25, {0, 10}},
    {"small_demands_cascade", {1, 3, 100, 100}, 24, 25, {1, 3, 10, 10}},
    {"demands_below_the_total", {1, 2, 3}, 50, 25, {1, 2, 3}},
    {"a_demand_equal_to_its_part_is_no_rest", {5, 5, kUnknown}, 15, 25, {5, 5, 5}},
    {"the_cap_counts_like_a_demand", {kUnknown, kUnknown, kUnknown}, 50, 10, {10, 10, 10}},
    {"rests_go_by_order_not_by_demand", {100, kUnknown, 50}, 10, 25, {4, 3, 3}},
    {"a_huge_total", {kUnknown, kUnknown}, INT32_MAX, kNoCap, {INT32_MAX / 2 + 1, INT32_MAX / 2}},
    {"huge_demands", {INT32_MAX, INT32_MAX}, 3, kNoCap, {2, 1}},
};

INSTANTIATE_TEST_SUITE_P(Table, MaxMinShares, testing::ValuesIn(kTable),
                         [](const auto &test) { return std::string(test.param.name); });

struct Case {
    Parts demands;
    int total, cap;
    int limit(std::size_t lane) const {
        return demands[lane] == kUnknown ? cap : std::min(demands[lane], cap);
    }
};

std::ostream &operator<<(std::ostream &out, const Case &each) {
    out << "total " << each.total << ", cap " << each.cap << ", demands";
    for (int const demand : each.demands)
        out << ' ' << demand;
    return out;
}

Case random_case(std::mt19937_64 &random) {
    Case each;
    each.demands.resize(static_cast<std::size_t>(number_in(random, 1, 12)));
    int const most = number_in(random, 0, 20);
    for (int &demand : each.demands)
        demand = number_in(random, 0, 2) == 0 ? kUnknown : number_in(random, 0, most);
    each.total = number_in(random, 0, 60);
    each.cap = number_in(random, 1, 30);
    return each;
}

// The definition itself: a job to each lane in turn, until all are dealt or nobody takes one.
Parts dealt_one_by_one(const Case &each) {
    Parts parts(each.demands.size(), 0);
    int left = each.total;
    for (bool somebody = true; somebody && left > 0;) {
        somebody = false;
        for (std::size_t lane = 0; lane < parts.size() && left > 0; ++lane)
            if (parts[lane] < each.limit(lane)) {
                ++parts[lane];
                --left;
                somebody = true;
            }
    }
    return parts;
}

template <class Check>
void for_random_cases(Check &&check) {
    std::mt19937_64 random = seeded_random();
    for (int i = 0; i < kRandomCases && !testing::Test::HasFailure(); ++i) {
        Case const each = random_case(random);
        SCOPED_TRACE(testing::Message() << each);
        check(each, max_min_shares(each.demands, each.total, each.cap));
    }
}

TEST(MaxMinSharesProperties, everything_is_given_that_demands_and_cap_allow) {
    for_random_cases([](const Case &each, const Parts &parts) {
        int possible = 0;
        for (std::size_t lane = 0; lane < each.demands.size(); ++lane)
            possible += each.limit(lane);
        ASSERT_EQ(std::accumulate(parts.begin(), parts.end(), 0), std::min(each.total, possible));
    });
}

TEST(MaxMinSharesProperties, nobody_gets_more_than_its_demand_or_the_cap) {
    for_random_cases([](const Case &each, const Parts &parts) {
        for (std::size_t lane = 0; lane < parts.size(); ++lane) {
            ASSERT_GE(parts[lane], 0);
            ASSERT_LE(parts[lane], each.limit(lane));
        }
    });
}

TEST(MaxMinSharesProperties, parts_of_lanes_that_want_more_differ_by_at_most_one) {
    for_random_cases([](const Case &each, const Parts &parts) {
        int least = kNoCap, most = 0;
        for (std::size_t lane = 0; lane < parts.size(); ++lane) {
            most = std::max(most, parts[lane]);
            if (parts[lane] < each.limit(lane))
                least = std::min(least, parts[lane]);
        }
        ASSERT_LE(most, least == kNoCap ? most : least + 1);
    });
}

TEST(MaxMinSharesProperties, the_result_is_that_of_dealing_jobs_one_by_one) {
    for_random_cases([](const Case &each, const Parts &parts) { ASSERT_EQ(parts, dealt_one_by_one(each)); });
}

// ------------------------------------------------------------------------------------------ rotation

TEST(RotationPoint, is_the_last_lane_that_was_rounded_up) {
    EXPECT_EQ(rotation_point({3, 3, 2, 2}), 1u);
    EXPECT_EQ(rotation_point({1, 0, 0}), 0u);
    EXPECT_EQ(rotation_point({2, 1, 2, 1}), 2u);
}

TEST(RotationPoint, is_the_last_lane_when_all_parts_are_equal) {
    EXPECT_EQ(rotation_point({4, 4, 4}), 2u);
    EXPECT_EQ(rotation_point({0, 0}), 1u);
    EXPECT_EQ(rotation_point({7}), 0u);
}

TEST(RotationPoint, of_no_lanes_is_zero) {
    EXPECT_EQ(rotation_point({}), 0u);
}

// The lanes in the order in which a claim that starts at `first` visits them.
std::vector<std::size_t> visited(std::size_t lanes, std::size_t first) {
    std::vector<std::size_t> order(lanes);
    for (std::size_t i = 0; i < lanes; ++i)
        order[i] = (first + i) % lanes;
    return order;
}

TEST(RotationPoint, lets_the_totals_of_successive_claims_differ_by_at_most_one) {
    std::mt19937_64 random = seeded_random();
    for (int round = 0; round < 2000; ++round) {
        auto const lanes = static_cast<std::size_t>(number_in(random, 1, 20));
        Parts totals(lanes, 0);
        std::size_t first = 0;
        for (int claim = 0; claim < 50; ++claim) {
            int const total = number_in(random, 1, 60);
            auto const order = visited(lanes, first);
            Parts const parts = max_min_shares(Parts(lanes, kUnknown), total, kNoCap);
            for (std::size_t i = 0; i < lanes; ++i)
                totals[order[i]] += parts[i];
            first = (order[rotation_point(parts)] + 1) % lanes;
            auto const [least, most] = std::minmax_element(totals.begin(), totals.end());
            ASSERT_LE(*most - *least, 1) << lanes << " lanes, claim " << claim;
        }
    }
}

TEST(RotationPoint, serves_every_lane_once_in_as_many_claims_of_one_job) {
    for (std::size_t lanes = 1; lanes <= 20; ++lanes) {
        Parts totals(lanes, 0);
        std::size_t first = 0;
        for (std::size_t claim = 0; claim < lanes; ++claim) {
            auto const order = visited(lanes, first);
            Parts const parts = max_min_shares(Parts(lanes, kUnknown), 1, kNoCap);
            for (std::size_t i = 0; i < lanes; ++i)
                totals[order[i]] += parts[i];
            first = (order[rotation_point(parts)] + 1) % lanes;
        }
        EXPECT_EQ(totals, Parts(lanes, 1));
    }
}

} // namespace
} // namespace fairq::test
