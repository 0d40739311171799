// histogram.cpp: see histogram.hpp. Up to 2,047 every value of a fine one has a bucket of its own; from there on
// each power of two is divided into 1,024 of them, so a bucket is at most a thousandth of its values wide.
#include "measure/histogram.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>

namespace fairq::driver::measure {
namespace {

int bits_of(std::int64_t value) {
    int bits = 0;
    for (; value > 0; value >>= 1)
        ++bits;
    return bits;
}

} // namespace

std::size_t Histogram::bucket_of(std::int64_t value) const {
    const int shift = std::max(0, bits_of(value) - half_bits_ - 1);
    return static_cast<std::size_t>((std::int64_t{shift} << half_bits_) + (value >> shift));
}

/// The highest value that falls into a bucket.
std::int64_t Histogram::highest_in(std::size_t bucket) const {
    const auto place = static_cast<std::int64_t>(bucket);
    const std::int64_t shift = std::max<std::int64_t>(0, (place >> half_bits_) - 1);
    return ((place - (shift << half_bits_) + 1) << shift) - 1;
}

void Histogram::record(std::int64_t value) {
    value = std::clamp<std::int64_t>(value, 0, kHighest);
    const std::size_t bucket = bucket_of(value);
    if (bucket >= buckets_.size())
        buckets_.resize(bucket + 1);
    ++buckets_[bucket];
    ++count_;
    min_ = std::min(min_, value);
    max_ = std::max(max_, value);
    sum_ += static_cast<double>(value);
}

void Histogram::add(const Histogram &other) {
    if (other.half_bits_ != half_bits_)
        throw std::logic_error("histograms of two precisions do not add up");
    if (other.buckets_.size() > buckets_.size())
        buckets_.resize(other.buckets_.size());
    for (std::size_t i = 0; i < other.buckets_.size(); ++i)
        buckets_[i] += other.buckets_[i];
    count_ += other.count_;
    min_ = std::min(min_, other.min_);
    max_ = std::max(max_, other.max_);
    sum_ += other.sum_;
}

double Histogram::mean() const {
    return count_ == 0 ? 0 : sum_ / static_cast<double>(count_);
}

std::int64_t Histogram::percentile(double p) const {
    const auto rank = std::max<std::int64_t>(
        1, static_cast<std::int64_t>(std::ceil(p / 100 * static_cast<double>(count_))));
    std::int64_t seen = 0;
    for (std::size_t bucket = 0; bucket < buckets_.size(); ++bucket) {
        seen += buckets_[bucket];
        if (seen >= rank)
            return std::clamp(highest_in(bucket), min(), max_);
    }
    return max_;
}

} // namespace fairq::driver::measure
