// schedule.hpp: when calls are planned: a rate that stays, ramps or jumps, at even distances or as
// independent users come (Poisson). Pure: the same stages and the same seed always give the same times.
#pragma once

#include <cstdint>
#include <optional>
#include <random>
#include <vector>

#include "units.hpp"

namespace fairq::driver::plan {

/// From the rate where the stage before ended, or at once, to `per_second` within `duration`.
struct Stage {
    Milliseconds duration{0};
    double per_second = 0;
    bool ramp = false; ///< evenly, not at once
};

/// How many calls the stages plan.
double planned_calls(const std::vector<Stage> &stages);

class Schedule {
public:
    Schedule(std::vector<Stage> stages, bool poisson, std::uint64_t seed);

    /// Seconds from the start to the next call; nothing when there is none any more.
    std::optional<double> next();

private:
    double distance();

    std::vector<Stage> stages_;
    bool poisson_;
    std::mt19937_64 random_;
    double passed_ = 0; ///< in calls: the next is planned when so many have come due
    bool first_ = true;
    std::size_t stage_ = 0;
    double stage_calls_ = 0, stage_seconds_ = 0; ///< before this stage
};

} // namespace fairq::driver::plan
