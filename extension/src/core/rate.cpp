// The generic cell rate algorithm with a clock in microseconds.
#include "core/rate.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace fairq::core {

namespace {

constexpr double kLongest = 2305843009213693952.0; // 2^61 microseconds: can be added to any date of our time

// How many microseconds `jobs` jobs take at this rate.
double span(const Rate &rate, int jobs) {
    return std::min(jobs * 1e6 / rate.per_second, kLongest);
}

// The burst, cut to what kLongest has room for: above that, span() is the same for all numbers of jobs.
int burst_of(const Rate &rate) {
    double const fitting = kLongest / 1e6 * rate.per_second;
    return std::max(1, static_cast<int>(std::min<double>(rate.burst, fitting)));
}

std::int64_t later(std::int64_t time, std::int64_t by) {
    constexpr std::int64_t kLatest = std::numeric_limits<std::int64_t>::max();
    return time > kLatest - by ? kLatest : time + by;
}

// How far the tat may be ahead of now while `jobs` jobs may go. It is rounded down, so that admitted() and
// admits_at() agree to the microsecond.
std::int64_t allowance(const Rate &rate, int jobs) {
    return static_cast<std::int64_t>(std::floor(span(rate, burst_of(rate) - jobs)));
}

// The tat that counts now: not in the past, and not further ahead than rate.hpp allows.
std::int64_t arrival(const Rate &rate, std::int64_t tat, std::int64_t now) {
    if (tat == 0 || tat <= now)
        return now;
    auto const whole = static_cast<std::int64_t>(std::ceil(span(rate, burst_of(rate))));
    return tat > later(now, whole) ? later(now, allowance(rate, 1)) : tat;
}

} // namespace

int admitted(const Rate &rate, std::int64_t tat, std::int64_t now, int wanted) {
    std::int64_t const ahead = arrival(rate, tat, now) - now;
    int most = std::clamp(wanted, 0, burst_of(rate));
    if (ahead <= allowance(rate, most))
        return most;
    int least = 0; // this many jobs may go, and `most` jobs may not
    while (most - least > 1) {
        int const middle = least + (most - least) / 2;
        (ahead <= allowance(rate, middle) ? least : most) = middle;
    }
    return least;
}

std::int64_t charged(const Rate &rate, std::int64_t tat, std::int64_t now, int jobs) {
    auto const taken = static_cast<std::int64_t>(std::ceil(span(rate, std::max(jobs, 0))));
    return later(arrival(rate, tat, now), taken);
}

std::int64_t admits_at(const Rate &rate, std::int64_t tat, std::int64_t now, int wanted) {
    return arrival(rate, tat, now) - allowance(rate, std::clamp(wanted, 0, burst_of(rate)));
}

} // namespace fairq::core
