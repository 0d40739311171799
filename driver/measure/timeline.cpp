// timeline.cpp: see timeline.hpp.
#include "measure/timeline.hpp"

#include <algorithm>
#include <cmath>

namespace fairq::driver::measure {

void Timeline::record(double at_seconds, std::int64_t microseconds) {
    at_seconds = std::max(0.0, at_seconds);
    while (at_seconds >= step_ * static_cast<double>(most_))
        widen();
    const auto slice = static_cast<std::size_t>(std::floor(at_seconds / step_));
    while (slices_.size() <= slice)
        slices_.emplace_back(Histogram::kCoarse);
    slices_[slice].record(microseconds);
}

void Timeline::widen() {
    step_ *= 2;
    std::vector<Histogram> wider;
    for (std::size_t i = 0; i < slices_.size(); i += 2) {
        wider.push_back(std::move(slices_[i]));
        if (i + 1 < slices_.size())
            wider.back().add(slices_[i + 1]);
    }
    slices_ = std::move(wider);
}

} // namespace fairq::driver::measure
