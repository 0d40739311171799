// Where in a lane there is nothing to claim: stretches of places that a claim steps over.
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

struct Stretch {
    LaneKey from, to; // to: not included
    bool empty() const { return from >= to; }
};
constexpr Stretch kEverywhere{kFirstKey, kLastKey};
constexpr Stretch stretch_of(LaneKey key) {
    return {key, key == kLastKey ? key : key + 1};
}

// What is known of a lane; all zero: nothing. It can only forget, never claim too much: when there are more
// stretches than places for them, the shortest one goes.
class Gaps {
public:
    static constexpr int kMost = 8;

    void add(Stretch stretch);
    // There may be something to claim here, from now on.
    void punch(Stretch hole);

    bool any() const { return count_ > 0; }
    // The first place from `key` on that is in no gap, and the first that is in one (kLastKey: none).
    LaneKey skip(LaneKey key) const;
    LaneKey next(LaneKey key) const;

private:
    void keep(const Stretch *stretches, int count);

    std::int32_t count_;
    Stretch gaps_[kMost]; // in order, and something between any two
};

// What a walk along a lane has passed, so that nothing is left to claim there: the stretches that may become
// gaps, at most as many as a lane has. A stretch without entries is none: it would save nobody a look, and
// take the place of one that does.
class Passed {
public:
    Passed(LaneKey from, std::vector<Stretch> &stretches) : now_{from, from}, stretches_(stretches) {}

    void over(LaneKey key);                  // an entry
    void over_dead() { first_ = now_.from; } // entries that the walk was not shown, in front of the next one
    void leave_out(Stretch entries);         // others may claim these, or somebody later
    void end();
    void end_at(LaneKey key); // there was no entry in front of it any more

private:
    Stretch now_;
    LaneKey first_ = kLastKey; // entry of it
    std::vector<Stretch> &stretches_;
};

// Places that something happened to, or more than those, never less.
class Touched {
public:
    static constexpr int kMost = 4;

    void add(Stretch stretch);
    const Stretch *begin() const { return stretches_; }
    const Stretch *end() const { return stretches_ + count_; }

private:
    std::int32_t count_ = 0;
    Stretch stretches_[kMost] = {};
};

} // namespace fairq::core

