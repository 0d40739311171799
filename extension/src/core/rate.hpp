// Rate limits: how many jobs of a tenant may be claimed now, and when more may be.
#pragma once

#include <cstdint>

namespace fairq::core {

// A rate allows per_second jobs a second on average, and burst jobs at once: in any window of t seconds at
// most burst + per_second * t jobs. per_second > 0, burst >= 1.
struct Rate {
    double per_second;
    int burst;
};

// The generic cell rate algorithm (ITU-T I.371) needs only one number a lane: the theoretical arrival time
// `tat`, at which the next job would arrive if jobs were spread evenly; 0 if no job has gone yet. All times
// are in microseconds. Nothing here overflows: a burst that takes longer than 70,000 years to come back (more
// than two million jobs at a job in a million seconds) is cut to what takes that long.
//
// A tat that is further ahead than the whole burst takes to come back was left by a lower rate, a larger
// burst or a clock that has been set back. It counts as if all but one job of the burst were used up: one job
// may go at once, and charging it puts the tat right. (If it counted as a burst that is all used up, it would
// move on with the clock, and the lane would be locked out until the old tat.)

// How many of `wanted` jobs may go now: 0 to wanted.
int admitted(const Rate &rate, std::int64_t tat, std::int64_t now, int wanted);

// The new tat after `jobs` jobs went now. It is rounded up to whole microseconds, so that the rate is never
// exceeded; above 10,000 a second, a claim should therefore charge several jobs at once, or the rate that it
// reaches is more than one per cent too low.
std::int64_t charged(const Rate &rate, std::int64_t tat, std::int64_t now, int jobs);

// The time from which on `wanted` jobs (or the burst, if it is less) may go at once. They may go already if
// that is now or earlier.
std::int64_t admits_at(const Rate &rate, std::int64_t tat, std::int64_t now, int wanted);

} // namespace fairq::core
