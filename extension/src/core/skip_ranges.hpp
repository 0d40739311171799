// Where in a lane there is nothing to claim: ranges of places that a claim steps over.
#pragma once

#include <cstdint>
#include <vector>

namespace fairq::core {

// A place in a lane, in the order in which jobs are claimed: the priority above, the position in the low 48
// bits.
using LaneKey = std::int64_t;

constexpr int kPositionBits = 48;
constexpr std::int64_t kMostPosition = (std::int64_t{1} << kPositionBits) - 1;
constexpr LaneKey kFirstKey = INT64_MIN, kLastKey = INT64_MAX;

// A position that does not fit stands for the nearest one that does.
constexpr LaneKey lane_key(std::int16_t priority, std::int64_t position) {
    std::int64_t const fitting = position < 0 ? 0 : position > kMostPosition ? kMostPosition : position;
    return std::int64_t{priority} * (kMostPosition + 1) + fitting;
}
constexpr std::int16_t priority_of(LaneKey key) {
    return static_cast<std::int16_t>(key >> kPositionBits);
}
constexpr std::int64_t position_of(LaneKey key) {
    return key & kMostPosition;
}
// The key that follows; but nobody gets past one that stands for many positions.
constexpr LaneKey behind(LaneKey key) {
    return position_of(key) == 0 || position_of(key) == kMostPosition ? key : key + 1;
}

struct KeyRange {
    LaneKey from, to; // to: not included
    bool empty() const { return from >= to; }
};
constexpr KeyRange kEverywhere{kFirstKey, kLastKey};
constexpr KeyRange range_of(LaneKey key) {
    return {key, key == kLastKey ? key : key + 1};
}

// What is known of a lane; all zero: nothing. It can only forget, never claim too much: when there are more
// ranges than places for them, the shortest one goes.
class SkipRanges {
public:
    static constexpr int kMost = 8;

    void add(KeyRange range);
    // There may be something to claim here, from now on.
    void invalidate(KeyRange hole);

    bool any() const { return count_ > 0; }
    // The first place from `key` on that is in no skip range, and the first that is in one (kLastKey: none).
    LaneKey skip(LaneKey key) const;
    LaneKey next(LaneKey key) const;

private:
    void keep(const KeyRange *ranges, int count);

    std::int32_t count_;
    KeyRange skip_ranges_[kMost]; // in order, and something between any two
};

// What a walk along a lane has passed, so that nothing is left to claim there: the ranges that may become
// skip ranges, at most as many as a lane has. A range without entries is none: it would save nobody a look, and
// take the place of one that does.
class ScannedRanges {
public:
    ScannedRanges(LaneKey from, std::vector<KeyRange> &ranges) : now_{from, from}, ranges_(ranges) {}

    void over(LaneKey key);                  // an entry
    void over_dead() { first_ = now_.from; } // entries that the walk was not shown, in front of the next one
    void leave_out(KeyRange entries);        // others may claim these, or somebody later
    void end();
    void end_at(LaneKey key); // there was no entry in front of it any more

private:
    KeyRange now_;
    LaneKey first_ = kLastKey; // entry of it
    std::vector<KeyRange> &ranges_;
};

// Places that something happened to, or more than those, never less.
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
