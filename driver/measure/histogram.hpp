// histogram.hpp: an HDR histogram (Gil Tene's): values are counted in buckets that grow with them, so that
// every percentile is right to three significant digits, whatever the number of values, and histograms of
// several threads add up.
#pragma once

#include <cstdint>
#include <vector>

namespace fairq::driver::measure {

class Histogram {
public:
    static constexpr std::int64_t kHighest =
        3'600'000'000; ///< an hour in microseconds; what is above counts as this

    void record(std::int64_t value);
    void add(const Histogram &other);

    std::int64_t count() const { return count_; }
    bool empty() const { return count_ == 0; }
    std::int64_t min() const { return count_ == 0 ? 0 : min_; }
    std::int64_t max() const { return max_; }
    double mean() const;

    /// The smallest value that at least p percent of the values do not exceed, to three digits. 0 of an empty
    /// one.
    std::int64_t percentile(double p) const;

private:
    std::vector<std::uint32_t> buckets_; ///< as far as values have come
    std::int64_t count_ = 0, min_ = kHighest, max_ = 0;
    double sum_ = 0;
};

} // namespace fairq::driver::measure
