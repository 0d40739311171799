// timeline.hpp: how times were spread over a phase: a coarse histogram for each second. When a phase lasts longer
// than there are slices, neighbours are put together and each covers twice as long, so that a day takes no more
// memory than ten minutes.
#pragma once

#include <cstddef>
#include <vector>

#include "measure/histogram.hpp"

namespace fairq::driver::measure {

class Timeline {
public:
    static constexpr std::size_t kMostSlices = 600;

    explicit Timeline(std::size_t most_slices = kMostSlices) : most_(most_slices) {}

    /// `at_seconds` since the timeline began; what came before counts as its first second.
    void record(double at_seconds, std::int64_t microseconds);

    /// Seconds that a slice covers.
    double step() const { return step_; }

    /// The first begins at 0. Slices in which nothing happened are empty.
    const std::vector<Histogram> &slices() const { return slices_; }

private:
    void widen();

    std::size_t most_;
    double step_ = 1;
    std::vector<Histogram> slices_;
};

} // namespace fairq::driver::measure
