// SkipRanges in a lane (see skip ranges.hpp).
#include "core/skip_ranges.hpp"

#include <algorithm>

namespace fairq::core {

namespace {

constexpr std::uint64_t kNear = 1024; // positions: a claim walks over so many for the price of two descents

std::uint64_t length(KeyRange range) {
    return static_cast<std::uint64_t>(range.to) - static_cast<std::uint64_t>(range.from);
}

KeyRange hull(KeyRange a, KeyRange b) {
    return {std::min(a.from, b.from), std::max(a.to, b.to)};
}

} // namespace

void SkipRanges::add(KeyRange range) {
    if (range.empty())
        return;
    KeyRange all[kMost + 1];
    int count = 0, place = 0;
    for (int i = 0; i < count_; ++i) {
        if (range.from <= skip_ranges_[i].to && skip_ranges_[i].from <= range.to) {
            range = hull(range, skip_ranges_[i]);
            continue;
        }
        all[count++] = skip_ranges_[i];
        if (skip_ranges_[i].to < range.from)
            place = count;
    }
    std::copy_backward(all + place, all + count, all + count + 1);
    all[place] = range;
    keep(all, count + 1);
}

void SkipRanges::invalidate(KeyRange hole) {
    if (hole.empty())
        return;
    KeyRange all[kMost + 1];
    int count = 0;
    for (int i = 0; i < count_; ++i) {
        KeyRange const before{skip_ranges_[i].from, std::min(skip_ranges_[i].to, hole.from)};
        KeyRange const after{std::max(skip_ranges_[i].from, hole.to), skip_ranges_[i].to};
        if (!before.empty())
            all[count++] = before;
        if (!after.empty())
            all[count++] = after;
    }
    keep(all, count);
}

void SkipRanges::keep(const KeyRange *ranges, int count) {
    KeyRange const *const end = ranges + count;
    KeyRange const *const left_out =
        count <= kMost
            ? end
            : std::min_element(ranges, end, [](KeyRange a, KeyRange b) { return length(a) < length(b); });
    count_ = static_cast<std::int32_t>(
        (left_out == end ? std::copy(ranges, end, skip_ranges_)
                         : std::copy(left_out + 1, end, std::copy(ranges, left_out, skip_ranges_))) -
        skip_ranges_);
}

LaneKey SkipRanges::skip(LaneKey key) const {
    for (int i = 0; i < count_ && skip_ranges_[i].from <= key; ++i)
        if (key < skip_ranges_[i].to)
            return skip_ranges_[i].to;
    return key;
}

LaneKey SkipRanges::next(LaneKey key) const {
    for (int i = 0; i < count_; ++i)
        if (key < skip_ranges_[i].to)
            return std::max(key, skip_ranges_[i].from);
    return kLastKey;
}

void ScannedRanges::over(LaneKey key) {
    if (key >= now_.from)
        first_ = std::min(first_, key);
    now_.to = std::max(now_.to, behind(key));
}

// A job that is left out may have an entry that was passed, too.
void ScannedRanges::leave_out(KeyRange entries) {
    now_.to = entries.from;
    end();
    now_ = {entries.to, entries.to};
    first_ = kLastKey;
}

void ScannedRanges::end() {
    if (first_ < now_.to && !now_.empty() && ranges_.size() < SkipRanges::kMost)
        ranges_.push_back(now_);
}

void ScannedRanges::end_at(LaneKey key) {
    now_.to = std::max(now_.to, key);
    over_dead();
    end();
}

// Near ones become one; so do the nearest when there are too many.
void DirtyRanges::add(KeyRange range) {
    if (range.empty())
        return;
    KeyRange *nearest = nullptr;
    std::uint64_t least = UINT64_MAX;
    for (int i = 0; i < count_; ++i) {
        std::uint64_t const grows = length(hull(ranges_[i], range)) - length(ranges_[i]);
        if (nearest == nullptr || grows < least) {
            nearest = &ranges_[i];
            least = grows;
        }
    }
    if (nearest != nullptr && (least <= kNear || count_ == kMost))
        *nearest = hull(*nearest, range);
    else
        ranges_[count_++] = range;
}

} // namespace fairq::core
