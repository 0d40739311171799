// A histogram of waits: it counts them in buckets, so that percentiles can be told from little memory.
#pragma once

#include <cmath>
#include <cstdint>
#include <optional>

namespace fairq::core {

// Each bucket reaches a fifth further than the one before, so that its geometric middle is within 10 % of
// every value in it. The first bucket has all waits up to 0.1 ms, the last all from 11 days on.
constexpr int kWaitBuckets = 128;
constexpr double kWaitGrowth = 1.2;
constexpr double kShortestWait = 100; // microseconds

inline int wait_bucket(std::int64_t microseconds) {
    double const wait = static_cast<double>(microseconds) / kShortestWait;
    if (wait <= 1)
        return 0;
    double const bucket = 1 + std::floor(std::log(wait) / std::log(kWaitGrowth));
    return bucket < kWaitBuckets ? static_cast<int>(bucket) : kWaitBuckets - 1;
}

// The wait that stands for all waits of the bucket, in microseconds.
inline double wait_of_bucket(int bucket) {
    return kShortestWait * (bucket == 0 ? 0.5 : std::pow(kWaitGrowth, bucket - 0.5));
}

// The wait in microseconds that the fraction `quantile` (0 to 1) of all waits did not exceed; none when there
// are no waits. Counts may be fractions, because metrics weigh the minute before by how much of it is left.
inline std::optional<double> wait_quantile(const double (&counts)[kWaitBuckets], double quantile) {
    double total = 0;
    for (double const count : counts)
        total += count;
    double below = 0;
    for (int bucket = 0; total > 0 && bucket < kWaitBuckets; ++bucket) {
        below += counts[bucket];
        if (counts[bucket] > 0 && below >= quantile * total * (1 - 1e-9))
            return wait_of_bucket(bucket);
    }
    return std::nullopt;
}

} // namespace fairq::core
