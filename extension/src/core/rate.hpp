// How many jobs a rate limit lets go now.
#pragma once

#include <cstdint>

namespace fairq::core {

// So many jobs a second, on average, and so many at once: in any window of t seconds at most
// burst + per_second * t jobs. per_second > 0, burst >= 1.
struct Rate {
    double per_second;
    int burst;
};

// The generic cell rate algorithm (ITU-T I.371), which needs but one number a lane: the time at which the
// next job would arrive, were they spread evenly, its theoretical arrival time `tat`; 0 if there never was
// one. All times are in microseconds. Nothing here overflows: a burst that takes longer than 70,000 years to
// come back (more than two million jobs at a job in a million seconds) is cut to what takes that long.
//
// A tat that is further ahead than the whole burst takes to come back was left by a lower rate, a larger
// burst or a clock that has been set back. It counts as if all but one job of the burst were used up: one job
// may go at once, and charging it puts the tat right. (To count it as just so far ahead would move it on with
// the clock, and lock the lane out until the old tat.)

// How many of `wanted` jobs may go now: 0 to wanted.
int admitted(const Rate &rate, std::int64_t tat, std::int64_t now, int wanted);

// The new tat after so many jobs went now. Rounded up to whole microseconds, so that the rate is never
// exceeded; above 10,000 a second, jobs should therefore be charged several at once, or the rate that is
// reached will be more than one per cent too low.
std::int64_t charged(const Rate &rate, std::int64_t tat, std::int64_t now, int jobs);

// From when on `wanted` jobs may go at once; if that is more than the burst, from when on the burst may.
// now or earlier: at once.
std::int64_t admits_at(const Rate &rate, std::int64_t tat, std::int64_t now, int wanted);

} // namespace fairq::core
