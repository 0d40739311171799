// The back-off: how long a failed job waits before its next attempt.
#pragma once

#include <cstdint>

namespace fairq::core {

// Exponential back-off with full jitter (M. Brooker, "Exponential Backoff And Jitter"): uniform in [0,
// min(longest, base * 2^(attempt - 1))]. attempt counts from 1; base and longest are in microseconds, as is
// the result; random is any 64 random bits. The result is never negative, and no argument makes it overflow.
constexpr std::int64_t backoff_delay(int attempt, std::int64_t base, std::int64_t longest,
                                     std::uint64_t random) {
    if (base <= 0 || longest <= 0)
        return 0;
    std::int64_t ceiling = base < longest ? base : longest;
    for (int i = 1; i < attempt && ceiling < longest; ++i)
        ceiling = ceiling > longest / 2 ? longest : ceiling * 2;
    return static_cast<std::int64_t>(random % (static_cast<std::uint64_t>(ceiling) + 1));
}

} // namespace fairq::core
