// core/histogram: the middle of a bucket is within 10 % of every value in it, and percentiles are those of
// the values.
#include "core/histogram.hpp"

#include "core_seed.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include <gtest/gtest.h>

namespace fairq::test {
namespace {

using namespace core;

constexpr std::int64_t kTwoWeeks = std::int64_t{14} * 86400 * 1000000;

TEST(Histogram, knows_a_wait_within_a_tenth) {
    for (double wait = 100; wait < static_cast<double>(kTwoWeeks); wait *= 1.013) {
        auto const microseconds = static_cast<std::int64_t>(wait);
        int const bucket = wait_bucket(microseconds);
        ASSERT_GE(bucket, 0);
        ASSERT_LT(bucket, kWaitBuckets);
        if (bucket > 0 && bucket < kWaitBuckets - 1) {
            ASSERT_NEAR(wait_of_bucket(bucket) / static_cast<double>(microseconds), 1, 0.1) << microseconds;
        }
    }
}

TEST(Histogram, buckets_grow_with_the_wait) {
    int last = 0;
    for (std::int64_t wait = 0; wait < 100000000; wait += 1 + wait / 50) {
        ASSERT_GE(wait_bucket(wait), last) << wait;
        ASSERT_LE(wait_bucket(wait), last + 1) << wait;
        last = wait_bucket(wait);
    }
}

TEST(Histogram, has_a_bucket_for_every_number) {
    EXPECT_EQ(wait_bucket(0), 0);
    EXPECT_EQ(wait_bucket(-1), 0);
    EXPECT_EQ(wait_bucket(100), 0);
    EXPECT_EQ(wait_bucket(101), 1);
    EXPECT_EQ(wait_bucket(std::numeric_limits<std::int64_t>::min()), 0);
    EXPECT_EQ(wait_bucket(std::numeric_limits<std::int64_t>::max()), kWaitBuckets - 1);
    EXPECT_EQ(wait_bucket(kTwoWeeks), kWaitBuckets - 1);
}

TEST(Histogram, of_nothing_has_no_percentile) {
    double const counts[kWaitBuckets] = {};
    EXPECT_FALSE(wait_quantile(counts, 0.5));
}

TEST(Histogram, of_one_value_is_that_value_at_every_percentile) {
    double counts[kWaitBuckets] = {};
    counts[wait_bucket(5000)] = 0.3;
    for (double const quantile : {0.0, 0.5, 0.99, 1.0})
        EXPECT_NEAR(wait_quantile(counts, quantile).value_or(0), 5000, 500);
}

// By nearest rank: the least value that the fraction `quantile` of all values does not exceed.
TEST(Histogram, percentiles_are_those_of_the_values) {
    std::mt19937_64 random = seeded_random();
    for (int round = 0; round < 200; ++round) {
        double counts[kWaitBuckets] = {};
        std::vector<double> waits(1 + random() % 500);
        for (double &wait : waits) {
            wait = 200 * std::exp(static_cast<double>(random() % 1600) / 100);
            counts[wait_bucket(static_cast<std::int64_t>(wait))] += 1;
        }
        std::sort(waits.begin(), waits.end());
        for (double const quantile : {0.5, 0.9, 0.99, 1.0}) {
            auto const rank = static_cast<std::size_t>(
                std::ceil(quantile * static_cast<double>(waits.size()) * (1 - 1e-9)));
            EXPECT_NEAR(wait_quantile(counts, quantile).value_or(0) / waits[rank - 1], 1, 0.1)
                << quantile << " of " << waits.size();
        }
    }
}

} // namespace
} // namespace fairq::test
