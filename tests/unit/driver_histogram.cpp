// The histogram against the values themselves.
#include <algorithm>
#include <cmath>
#include <random>

#include <gtest/gtest.h>

#include "measure/histogram.hpp"

using namespace fairq::driver;

namespace {

std::vector<std::int64_t> some_values(std::uint64_t seed, std::size_t count) {
    std::mt19937_64 random(seed);
    std::lognormal_distribution<double> latency(7, 2.5); // a median of a millisecond, a tail of minutes
    std::vector<std::int64_t> values(count);
    std::generate(values.begin(), values.end(), [&] { return static_cast<std::int64_t>(latency(random)); });
    return values;
}

std::int64_t nearest_rank(const std::vector<std::int64_t> &sorted, double p) {
    const auto rank = static_cast<std::size_t>(std::ceil(p / 100 * static_cast<double>(sorted.size())));
    return sorted[std::max<std::size_t>(rank, 1) - 1];
}

} // namespace

TEST(HistogramTest, every_percentile_is_right_to_three_digits) {
    const std::uint64_t seed = std::random_device{}();
    RecordProperty("seed", std::to_string(seed));
    std::vector<std::int64_t> values = some_values(seed, 100'000);
    measure::Histogram histogram;
    for (const std::int64_t value : values)
        histogram.record(value);
    std::sort(values.begin(), values.end());
    for (const double p : {0.0, 1.0, 25.0, 50.0, 90.0, 95.0, 99.0, 99.9, 99.99, 100.0}) {
        const std::int64_t exact = std::min(nearest_rank(values, p), measure::Histogram::kHighest);
        EXPECT_NEAR(static_cast<double>(histogram.percentile(p)), static_cast<double>(exact),
                    static_cast<double>(exact) / 1000)
            << "p" << p << ", seed " << seed;
    }
    EXPECT_EQ(histogram.min(), values.front());
    EXPECT_EQ(histogram.count(), 100'000);
}

TEST(HistogramTest, small_values_are_exact) {
    measure::Histogram histogram;
    for (int value = 0; value < 2048; ++value)
        histogram.record(value);
    EXPECT_EQ(histogram.percentile(50), 1023);
    EXPECT_EQ(histogram.percentile(100), 2047);
    EXPECT_EQ(histogram.percentile(0), 0);
    EXPECT_DOUBLE_EQ(histogram.mean(), 1023.5);
}

TEST(HistogramTest, histograms_of_several_threads_add_up) {
    measure::Histogram all, parts[4];
    const auto values = some_values(7, 10'000);
    for (std::size_t i = 0; i < values.size(); ++i) {
        all.record(values[i]);
        parts[i % 4].record(values[i]);
    }
    measure::Histogram sum;
    for (const measure::Histogram &part : parts)
        sum.add(part);
    for (const double p : {0.0, 50.0, 99.0, 100.0})
        EXPECT_EQ(sum.percentile(p), all.percentile(p));
    EXPECT_EQ(sum.count(), all.count());
    EXPECT_DOUBLE_EQ(sum.mean(), all.mean());
}

TEST(HistogramTest, what_is_out_of_range_counts_at_its_end) {
    measure::Histogram histogram;
    EXPECT_EQ(histogram.percentile(99), 0);
    histogram.record(-5);
    histogram.record(measure::Histogram::kHighest * 2);
    EXPECT_EQ(histogram.min(), 0);
    EXPECT_EQ(histogram.max(), measure::Histogram::kHighest);
}
