// mix.cpp: see mix.hpp. Nothing of std's distributions, nor its shuffle: the same seed has to give the same
// order with every standard library.
#include "plan/mix.hpp"

#include <algorithm>

namespace fairq::driver::plan {
namespace {

constexpr double kFloodShare = 0.9;

} // namespace

Mix::Mix(Spread spread, long long members, std::uint64_t seed)
    : spread_(spread), random_(seed), round_(static_cast<std::size_t>(members)), place_(round_.size()) {
    for (std::size_t i = 0; i < round_.size(); ++i)
        round_[i] = static_cast<long long>(i) + 1;
    if (spread != Spread::zipf)
        return;
    double sum = 0;
    for (const long long member : round_)
        below_.push_back(sum += 1.0 / static_cast<double>(member));
    for (double &share : below_)
        share /= sum;
}

double Mix::uniform() {
    return static_cast<double>(random_() >> 11) / 9007199254740992.0;
}

long long Mix::next_in_round() {
    if (place_ == round_.size()) {
        for (std::size_t i = round_.size(); i > 1; --i)
            std::swap(round_[i - 1], round_[random_() % i]);
        place_ = 0;
    }
    return round_[place_++];
}

long long Mix::next() {
    if (spread_ == Spread::zipf)
        return std::upper_bound(below_.begin(), below_.end() - 1, uniform()) - below_.begin() + 1;
    if (spread_ == Spread::flood && uniform() < kFloodShare)
        return 1;
    return next_in_round();
}

} // namespace fairq::driver::plan
