// windows.hpp: a series cut into stretches of time, and how steeply something grows. Pure.
#pragma once

#include <optional>
#include <vector>

#include "measure/metrics.hpp"

namespace fairq::driver::judge {

struct Window {
    double from = 0; ///< seconds since the phase began
    measure::Series series;
};

/// The stretches of so many seconds in which there is something, in their order. None for a series that does
/// not know its moments.
std::vector<Window> cut(const measure::Series &series, double seconds);

struct Moment {
    double at = 0, value = 0;
};

/// The median of the slopes between each two of them (Theil and Sen's estimator), in value by second: a few
/// outliers do not change it. Nothing for fewer than two.
std::optional<double> steepness(const std::vector<Moment> &moments);

/// The last three quarters of the time that they span: the first is warming up.
std::vector<Moment> without_warm_up(const std::vector<Moment> &moments);

} // namespace fairq::driver::judge
