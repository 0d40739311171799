// histogram.hpp: an HDR histogram (Gil Tene's): values are counted in buckets that grow with them, so that
// every percentile is right to three significant digits, whatever the number of values, and histograms of
// several threads add up. A coarse one takes a thirtieth of the memory and is right to three percent.
#pragma once

#include <cstdint>
#include <vector>

namespace fairq::driver::measure {

class Histogram {
public:
    static constexpr std::int64_t kHighest =
        3'600'000'000; ///< an hour in microseconds; what is above counts as this

    /// Each power of two is divided into 2^half_bits buckets.
    explicit Histogram(int half_bits = kFine) : half_bits_(half_bits) {}

    static constexpr int kFine = 10, kCoarse = 5;

    void record(std::int64_t value);

    /// The other one must be as fine.
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
    std::size_t bucket_of(std::int64_t value) const;
    std::int64_t highest_in(std::size_t bucket) const;

    int half_bits_;
    std::vector<std::uint32_t> buckets_; ///< as far as values have come
    std::int64_t count_ = 0, min_ = kHighest, max_ = 0;
    double sum_ = 0;
};

} // namespace fairq::driver::measure
