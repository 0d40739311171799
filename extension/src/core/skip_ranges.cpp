// Adding, forgetting and stepping over skip ranges (see skip_ranges.hpp).
#include "core/skip_ranges.hpp"

#include <algorithm>

namespace fairq::core {

namespace {

constexpr std::uint64_t kNear = 1024; // positions: a walk over so many costs a claim as much as two descents

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
        if (range.from <= ranges_[i].to && ranges_[i].from <= range.to) {
            range = hull(range, ranges_[i]);
            continue;
        }
        all[count++] = ranges_[i];
        if (ranges_[i].to < range.from)
            place = count;
    }
    std::copy_backward(all + place, all + count, all + count + 1);
    all[place] = range;
    keep(all, count + 1);
}

void SkipRanges::invalidate(KeyRange range) {
    if (range.empty())
        return;
    KeyRange all[kMost + 1];
    int count = 0;
    for (int i = 0; i < count_; ++i) {
        KeyRange const before{ranges_[i].from, std::min(ranges_[i].to, range.from)};
        KeyRange const after{std::max(ranges_[i].from, range.to), ranges_[i].to};
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
        (left_out == end ? std::copy(ranges, end, ranges_)
                         : std::copy(left_out + 1, end, std::copy(ranges, left_out, ranges_))) -
        ranges_);
}

LaneKey SkipRanges::skip(LaneKey key) const {
    for (int i = 0; i < count_ && ranges_[i].from <= key; ++i)
        if (key < ranges_[i].to)
            return ranges_[i].to;
    return key;
}

LaneKey SkipRanges::next(LaneKey key) const {
    for (int i = 0; i < count_; ++i)
        if (key < ranges_[i].to)
            return std::max(key, ranges_[i].from);
    return kLastKey;
}

void ScannedRanges::over(LaneKey key) {
    if (key >= current_.from)
        first_entry_ = std::min(first_entry_, key);
    current_.to = std::max(current_.to, key_after(key));
}

// A job that is left out may have more than one entry, and the walk may have passed one of them before.
void ScannedRanges::leave_out(KeyRange entries) {
    current_.to = entries.from;
    end();
    current_ = {entries.to, entries.to};
    first_entry_ = kLastKey;
}

void ScannedRanges::end() {
    if (first_entry_ < current_.to && !current_.empty() && ranges_.size() < SkipRanges::kMost)
        ranges_.push_back(current_);
}

void ScannedRanges::end_at(LaneKey key) {
    current_.to = std::max(current_.to, key);
    over_dead();
    end();
}

// Ranges that are near each other become one; when there are too many, the new one joins the nearest.
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
