// core/rotation: the job that a claim cannot divide evenly goes to another lane with each claim.
#include "core/rotation.hpp"

#include "core_seed.hpp"

#include <algorithm>
#include <numeric>

#include <gtest/gtest.h>

namespace fairq::test {
namespace {

using core::rotation_point;
using Taken = std::vector<int>;

// Jobs dealt one by one, the first lane first.
Taken dealt(std::size_t lanes, int jobs) {
    Taken taken(lanes, 0);
    for (int job = 0; job < jobs; ++job)
        ++taken[static_cast<std::size_t>(job) % lanes];
    return taken;
}

TEST(RotationPoint, is_the_last_lane_that_gave_more_than_another) {
    EXPECT_EQ(rotation_point({3, 3, 2, 2}), 1u);
    EXPECT_EQ(rotation_point({1, 0, 0}), 0u);
    EXPECT_EQ(rotation_point({2, 1, 2, 1}), 2u);
}

TEST(RotationPoint, is_the_last_lane_when_all_lanes_gave_the_same) {
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
        Taken totals(lanes, 0);
        std::size_t first = 0;
        for (int claim = 0; claim < 50; ++claim) {
            int const total = number_in(random, 1, 60);
            auto const order = visited(lanes, first);
            Taken const taken = dealt(lanes, total);
            for (std::size_t i = 0; i < lanes; ++i)
                totals[order[i]] += taken[i];
            first = (order[rotation_point(taken)] + 1) % lanes;
            auto const [least, most] = std::minmax_element(totals.begin(), totals.end());
            ASSERT_LE(*most - *least, 1) << lanes << " lanes, claim " << claim;
        }
    }
}

TEST(RotationPoint, serves_every_lane_once_in_as_many_claims_of_one_job) {
    for (std::size_t lanes = 1; lanes <= 20; ++lanes) {
        Taken totals(lanes, 0);
        std::size_t first = 0;
        for (std::size_t claim = 0; claim < lanes; ++claim) {
            auto const order = visited(lanes, first);
            Taken const taken = dealt(lanes, 1);
            for (std::size_t i = 0; i < lanes; ++i)
                totals[order[i]] += taken[i];
            first = (order[rotation_point(taken)] + 1) % lanes;
        }
        EXPECT_EQ(totals, Taken(lanes, 1));
    }
}

} // namespace
} // namespace fairq::test
