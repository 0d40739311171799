// percentile.hpp: the one way in which percentiles of values that are kept are taken.
#pragma once

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <vector>

namespace fairq::driver::measure {

/// The p-th percentile (nearest rank, p from 0 to 100) of values in any order; there has to be one.
template <class Number>
Number percentile(std::vector<Number> values, double p) {
    if (values.empty())
        throw std::logic_error("a percentile of nothing");
    std::sort(values.begin(), values.end());
    const auto rank = static_cast<std::size_t>(std::ceil(p / 100 * static_cast<double>(values.size())));
    return values[std::clamp<std::size_t>(rank, 1, values.size()) - 1];
}

} // namespace fairq::driver::measure
