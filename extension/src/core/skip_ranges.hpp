// Skip ranges: parts of a lane that hold nothing to claim, so that a claim steps over them.
#pragma once

#include <cstdint>
#include <vector>

namespace fairq::core {

// Where a job stands in its lane, as one number in the order in which jobs are claimed: the priority in the
// high 16 bits, the position in the low 48.
using LaneKey = std::int64_t;

constexpr int kPositionBits = 48;
constexpr std::int64_t kMostPosition = (std::int64_t{1} << kPositionBits) - 1;
// No job has the last key, because no range covers it.
constexpr LaneKey kFirstKey = INT64_MIN, kLastKey = INT64_MAX, kMostKey = kLastKey - 1;

// A position that does not fit into 48 bits gets the key of the nearest one that does.
constexpr LaneKey lane_key(std::int16_t priority, std::int64_t position) {
    std::int64_t const fitting = position < 0 ? 0 : position > kMostPosition ? kMostPosition : position;
    LaneKey const key = std::int64_t{priority} * (kMostPosition + 1) + fitting;
    return key < kMostKey ? key : kMostKey;
}
constexpr std::int16_t priority_of(LaneKey key) {
    return static_cast<std::int16_t>(key >> kPositionBits);
}
constexpr std::int64_t position_of(LaneKey key) {
    return key & kMostPosition;
}
// The key that follows; or the same key if it stands for many positions, which a walk may not all have seen.
constexpr LaneKey key_after(LaneKey key) {
    bool const is_of_many = position_of(key) == 0 || position_of(key) == kMostPosition || key == kMostKey;
    return is_of_many ? key : key + 1;
}

struct KeyRange {
    LaneKey from, to; // to: not included
    bool empty() const { return from >= to; }
};
constexpr KeyRange kEverywhere{kFirstKey, kLastKey};
constexpr KeyRange range_of(LaneKey key) {
    return {key, key + 1};
}

// The skip ranges of one lane; all zero: there are none. Ranges can be forgotten, but never cover more than
// was added: when there are more than kMost, the shortest one is dropped.
class SkipRanges {
public:
    static constexpr int kMost = 8;

    void add(KeyRange range);
    // From now on there may be something to claim in this range.
    void invalidate(KeyRange range);

    bool any() const { return count_ > 0; }
    // The first key from `key` on that is in no skip range, and the first that is in one (kLastKey: none is).
    LaneKey skip(LaneKey key) const;
    LaneKey next(LaneKey key) const;

private:
    void keep(const KeyRange *ranges, int count);

    std::int32_t count_;
    KeyRange ranges_[kMost]; // in order; no two of them meet
};

// The ranges in which a walk along a lane has left nothing to claim. They may become skip ranges, and so they
// are at most as many as a lane has. A range without an entry is not recorded: it would save no claim a look,
// and could displace one that does.
class ScannedRanges {
public:
    ScannedRanges(LaneKey from, std::vector<KeyRange> &ranges) : current_{from, from}, ranges_(ranges) {}

    void over(LaneKey key); // The walk passed an entry; no job is left to claim there.
    // Between the walk's place and its next entry there are dead entries, which the index did not show.
    void over_dead() { first_entry_ = current_.from; }
    void leave_out(KeyRange entries); // Another claim may take these jobs, now or later.
    void end();
    void end_at(LaneKey key); // The walk found no further entry in front of this key.

private:
    KeyRange current_;
    LaneKey first_entry_ = kLastKey; // in current_
    std::vector<KeyRange> &ranges_;
};

// The ranges of a lane in which jobs have changed. They may cover more than that, never less.
class DirtyRanges {
public:
    static constexpr int kMost = 4;

    void add(KeyRange range);
    const KeyRange *begin() const { return ranges_; }
    const KeyRange *end() const { return ranges_ + count_; }

private:
    std::int32_t count_ = 0;
    KeyRange ranges_[kMost] = {};
};

} // namespace fairq::core
