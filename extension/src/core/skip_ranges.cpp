// Gaps in a lane (see gaps.hpp).
#include "core/skip_ranges.hpp"

#include <algorithm>

namespace fairq::core {

namespace {

constexpr std::uint64_t kNear = 1024; // positions: a claim walks over so many for the price of two descents

std::uint64_t length(Stretch stretch) {
    return static_cast<std::uint64_t>(stretch.to) - static_cast<std::uint64_t>(stretch.from);
}

Stretch hull(Stretch a, Stretch b) {
    return {std::min(a.from, b.from), std::max(a.to, b.to)};
}

} // namespace

void Gaps::add(Stretch stretch) {
    if (stretch.empty())
        return;
    Stretch all[kMost + 1];
    int count = 0, place = 0;
    for (int i = 0; i < count_; ++i) {
        if (stretch.from <= gaps_[i].to && gaps_[i].from <= stretch.to) {
            stretch = hull(stretch, gaps_[i]);
            continue;
        }
        all[count++] = gaps_[i];
        if (gaps_[i].to < stretch.from)
            place = count;
    }
    std::copy_backward(all + place, all + count, all + count + 1);
    all[place] = stretch;
    keep(all, count + 1);
}

void Gaps::punch(Stretch hole) {
    if (hole.empty())
        return;
    Stretch all[kMost + 1];
    int count = 0;
    for (int i = 0; i < count_; ++i) {
        Stretch const before{gaps_[i].from, std::min(gaps_[i].to, hole.from)};
        Stretch const after{std::max(gaps_[i].from, hole.to), gaps_[i].to};
        if (!before.empty())
            all[count++] = before;
        if (!after.empty())
            all[count++] = after;
    }
    keep(all, count);
}

void Gaps::keep(const Stretch *stretches, int count) {
    Stretch const *const end = stretches + count;
    Stretch const *const left_out =
        count <= kMost
            ? end
            : std::min_element(stretches, end, [](Stretch a, Stretch b) { return length(a) < length(b); });
    count_ = static_cast<std::int32_t>(
        (left_out == end ? std::copy(stretches, end, gaps_)
                         : std::copy(left_out + 1, end, std::copy(stretches, left_out, gaps_))) -
        gaps_);
}

LaneKey Gaps::skip(LaneKey key) const {
    for (int i = 0; i < count_ && gaps_[i].from <= key; ++i)
        if (key < gaps_[i].to)
            return gaps_[i].to;
    return key;
}

LaneKey Gaps::next(LaneKey key) const {
    for (int i = 0; i < count_; ++i)
        if (key < gaps_[i].to)
            return std::max(key, gaps_[i].from);
    return kLastKey;
}

void Passed::over(LaneKey key) {
    if (key >= now_.from)
        first_ = std::min(first_, key);
    now_.to = std::max(now_.to, behind(key));
}

// A job that is left out may have an entry that was passed, too.
void Passed::leave_out(Stretch entries) {
    now_.to = entries.from;
    end();
    now_ = {entries.to, entries.to};
    first_ = kLastKey;
}

void Passed::end() {
    if (first_ < now_.to && !now_.empty() && stretches_.size() < Gaps::kMost)
        stretches_.push_back(now_);
}

void Passed::end_at(LaneKey key) {
    now_.to = std::max(now_.to, key);
    over_dead();
    end();
}

// Near ones become one; so do the nearest when there are too many.
void Touched::add(Stretch stretch) {
    if (stretch.empty())
        return;
    Stretch *nearest = nullptr;
    std::uint64_t least = UINT64_MAX;
    for (int i = 0; i < count_; ++i) {
        std::uint64_t const grows = length(hull(stretches_[i], stretch)) - length(stretches_[i]);
        if (nearest == nullptr || grows < least) {
            nearest = &stretches_[i];
            least = grows;
        }
    }
    if (nearest != nullptr && (least <= kNear || count_ == kMost))
        *nearest = hull(*nearest, stretch);
    else
        stretches_[count_++] = stretch;
}

} // namespace fairq::core
