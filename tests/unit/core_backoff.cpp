// core/backoff: waits keep to their bounds, also for extreme arguments, and spread over their range.
#include "core/backoff.hpp"

#include "core_seed.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include <gtest/gtest.h>

namespace fairq::test {
namespace {

using core::backoff_delay;

constexpr std::int64_t kSecond = 1000000;
constexpr std::int64_t kHour = 3600 * kSecond;
constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();
constexpr std::int64_t kLeast = std::numeric_limits<std::int64_t>::min();
constexpr int kRandomCases = 100000;

// The longest wait that a random number can give: the ceiling of the attempt.
std::int64_t ceiling(int attempt, std::int64_t base, std::int64_t longest) {
    std::int64_t most = 0;
    for (std::int64_t expected = std::min(base, longest); expected > 0;
         expected = expected > kMost / 2 ? 0 : expected * 2)
        most = std::max(most, backoff_delay(attempt, base, longest,
                                            static_cast<std::uint64_t>(std::min(expected, longest))));
    return most;
}

TEST(Backoff, doubles_its_ceiling_with_each_attempt_up_to_the_longest) {
    EXPECT_EQ(ceiling(1, kSecond, kHour), kSecond);
    EXPECT_EQ(ceiling(2, kSecond, kHour), 2 * kSecond);
    EXPECT_EQ(ceiling(5, kSecond, kHour), 16 * kSecond);
    EXPECT_EQ(backoff_delay(12, kSecond, kHour, 2048 * kSecond), 2048 * kSecond);
    EXPECT_EQ(backoff_delay(13, kSecond, kHour, kHour), kHour);
    EXPECT_EQ(backoff_delay(1000, kSecond, kHour, kHour), kHour);
    EXPECT_EQ(backoff_delay(13, kSecond, kHour, kHour + 1), 0) << "a number above it gives 0";
}

TEST(Backoff, takes_attempts_below_one_for_the_first) {
    EXPECT_EQ(backoff_delay(0, kSecond, kHour, kSecond), kSecond);
    EXPECT_EQ(backoff_delay(std::numeric_limits<int>::min(), kSecond, kHour, kSecond + 1), 0);
}

TEST(Backoff, never_waits_longer_than_the_longest_even_when_the_base_is_longer) {
    EXPECT_EQ(backoff_delay(1, kHour, kSecond, kSecond), kSecond);
    EXPECT_EQ(backoff_delay(1, kHour, kSecond, kSecond + 1), 0);
}

TEST(Backoff, waits_nothing_when_base_or_longest_is_not_positive) {
    for (std::int64_t const nothing : {std::int64_t{0}, std::int64_t{-1}, kLeast}) {
        EXPECT_EQ(backoff_delay(3, nothing, kHour, 12345), 0);
        EXPECT_EQ(backoff_delay(3, kSecond, nothing, 12345), 0);
    }
}

TEST(Backoff, does_not_overflow_at_the_extremes) {
    constexpr std::uint64_t kAllBits = std::numeric_limits<std::uint64_t>::max();
    for (int const attempt :
         {std::numeric_limits<int>::min(), 0, 1, 2, 63, 64, 1000, std::numeric_limits<int>::max()})
        for (std::int64_t const base : {std::int64_t{1}, kSecond, kMost / 2, kMost / 2 + 1, kMost - 1, kMost})
            for (std::int64_t const longest : {std::int64_t{1}, kHour, kMost / 2 + 1, kMost - 1, kMost})
                for (std::uint64_t const random :
                     {std::uint64_t{0}, std::uint64_t{1}, kAllBits / 2, kAllBits}) {
                    std::int64_t const delay = backoff_delay(attempt, base, longest, random);
                    EXPECT_GE(delay, 0);
                    EXPECT_LE(delay, longest);
                }
}

TEST(Backoff, can_be_computed_by_the_compiler) {
    static_assert(backoff_delay(1, 10, 100, 7) == 7);
    static_assert(backoff_delay(3, 10, 100, 40) == 40);
    static_assert(backoff_delay(std::numeric_limits<int>::max(), kMost, kMost, 5) == 5);
}

TEST(BackoffProperties, a_wait_is_never_negative_and_never_above_its_ceiling) {
    std::mt19937_64 random = seeded_random();
    for (int i = 0; i < kRandomCases; ++i) {
        // Any magnitude is as likely as any other.
        auto const base = static_cast<std::int64_t>(random() >> 1 >> (random() % 63)) - 1;
        auto const longest = static_cast<std::int64_t>(random() >> 1 >> (random() % 63)) - 1;
        int const attempt = number_in(random, -2, 100);
        std::int64_t const delay = backoff_delay(attempt, base, longest, random());
        double const doubled = static_cast<double>(base) * std::pow(2.0, std::max(attempt, 1) - 1);
        ASSERT_GE(delay, 0);
        ASSERT_LE(delay, std::max<std::int64_t>(longest, 0));
        ASSERT_LE(static_cast<double>(delay), std::max(doubled, 0.0))
            << "attempt " << attempt << ", base " << base;
    }
}

TEST(BackoffProperties, waits_spread_evenly_over_their_range) {
    std::mt19937_64 random = seeded_random();
    constexpr int kBuckets = 10, kPerBucket = 10000;
    std::array<int, kBuckets> buckets{};
    for (int i = 0; i < kBuckets * kPerBucket; ++i)
        ++buckets[static_cast<std::size_t>(backoff_delay(4, kSecond, kHour, random()) * kBuckets /
                                           (8 * kSecond + 1))];
    // Ten standard deviations: one seed in 10^22 fails by chance.
    for (int const count : buckets)
        EXPECT_NEAR(count, kPerBucket, 1000);
}

} // namespace
} // namespace fairq::test
