// Holding lanes, and ending holds (see holds.hpp).
#include "core/holds.hpp"

#include "core/pairing_heap.hpp"

#include <algorithm>

namespace fairq::core {

namespace {

struct EarlierTime {
    bool operator()(const HeldLane &a, const HeldLane &b) const { return a.until < b.until; }
};
using ByTime = PairingHeap<HeldLane, EarlierTime>;

} // namespace

std::uint64_t Holds::last_event(int lane, HoldReason reason) const {
    return std::max(lanes_[lane].events[index(reason)], state_.events_of_all[index(reason)]);
}

bool Holds::hold(int lane, HoldReason reason, std::int64_t until, std::uint64_t seen) {
    HeldLane &held = lanes_[lane];
    if (held.held || !schedule_.contains(lane))
        return held.held;
#ifndef FAIRQ_TEST_HOLDING_UNSEEN // so that the tests of holds can be seen to fail
    if (last_event(lane, reason) > seen)
        return false;
#endif
    held.held = true;
    held.reason = reason;
    held.until = until;
    held.seen = seen;
    ++state_.lanes;
    if (until != kUntilEvent)
        ByTime(lanes_, state_.due).insert(lane);
    schedule_.set_aside(lane);
    return true;
}

bool Holds::end(int lane) {
    HeldLane &held = lanes_[lane];
    if (!held.held)
        return false;
    held.held = false;
    --state_.lanes;
    if (held.until != kUntilEvent)
        ByTime(lanes_, state_.due).remove(lane);
    schedule_.resume(lane);
    return true;
}

bool Holds::happened(int lane, HoldReason reason) {
    lanes_[lane].events[index(reason)] = ++state_.events;
    return lanes_[lane].reason == reason && end(lane);
}

bool Holds::end_if_older(int lane) {
    HeldLane const &held = lanes_[lane];
    return held.held && held.seen < state_.events_of_all[index(held.reason)] && end(lane);
}

int Holds::end_due(std::int64_t now) {
    int const lane = state_.due - 1;
    if (lane < 0 || lanes_[lane].until > now)
        return -1;
    end(lane);
    return lane;
}

bool Holds::clock_went_back(std::int64_t now) {
    bool const back = now < state_.clock - kClockTolerance;
    if (back || now > state_.clock)
        state_.clock = now;
    if (back)
        happened_to_all(HoldReason::limits);
    return back;
}

} // namespace fairq::core
