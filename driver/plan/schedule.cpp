// schedule.cpp: see schedule.hpp. Calls come due as the integral of the rate grows: every call is one more,
// or, for Poisson, an exponentially distributed number whose mean is one.
#include "plan/schedule.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

namespace fairq::driver::plan {
namespace {

double seconds(const Stage &stage) {
    return std::chrono::duration<double>(stage.duration).count();
}

double first_rate(const std::vector<Stage> &stages, std::size_t index) {
    if (!stages[index].ramp)
        return stages[index].per_second;
    return index == 0 ? 0 : stages[index - 1].per_second;
}

double calls_of(const std::vector<Stage> &stages, std::size_t index) {
    return seconds(stages[index]) * (first_rate(stages, index) + stages[index].per_second) / 2;
}

/// When, within a stage, so many of its calls have come due: from * t + (to - from) / length * t² / 2 =
/// calls.
double time_of(double from, double to, double length, double calls) {
    const double growth = (to - from) / length;
    if (std::abs(growth) < 1e-12)
        return calls / from;
    return (std::sqrt(std::max(0.0, from * from + 2 * growth * calls)) - from) / growth;
}

} // namespace

double planned_calls(const std::vector<Stage> &stages) {
    double calls = 0;
    for (std::size_t i = 0; i < stages.size(); ++i)
        calls += calls_of(stages, i);
    return calls;
}

Schedule::Schedule(std::vector<Stage> stages, bool poisson, std::uint64_t seed)
    : stages_(std::move(stages)), poisson_(poisson), random_(seed) {}

double Schedule::distance() {
    if (!poisson_)
        return std::exchange(first_, false) ? 0 : 1; // the first is due at once
    // Not std::exponential_distribution: the same seed has to give the same times with every standard
    // library.
    const double uniform = (static_cast<double>(random_() >> 11) + 0.5) / 9007199254740992.0;
    return -std::log(uniform);
}

std::optional<double> Schedule::next() {
    passed_ += distance();
    for (; stage_ < stages_.size(); ++stage_) {
        const double calls = calls_of(stages_, stage_);
        if (passed_ < stage_calls_ + calls)
            return stage_seconds_ + time_of(first_rate(stages_, stage_), stages_[stage_].per_second,
                                            seconds(stages_[stage_]), passed_ - stage_calls_);
        stage_calls_ += calls;
        stage_seconds_ += seconds(stages_[stage_]);
    }
    return std::nullopt;
}

} // namespace fairq::driver::plan
