// Earliest eligible virtual deadline first, on two intrusive pairing heaps.
#include "core/schedule.hpp"

#include "core/pairing_heap.hpp"

#include <algorithm>
#include <cmath>

namespace fairq::core {

namespace {

struct EarlierStart {
    bool operator()(const ScheduledLane &a, const ScheduledLane &b) const {
        return a.start < b.start || (a.start == b.start && a.sequence < b.sequence);
    }
};

struct EarlierDeadline {
    static double deadline(const ScheduledLane &lane) { return lane.start + 1.0 / lane.weight; }
    bool operator()(const ScheduledLane &a, const ScheduledLane &b) const {
        double const first = deadline(a);
        double const second = deadline(b);
        return first < second || (first == second && a.sequence < b.sequence);
    }
};

using Waiting = PairingHeap<ScheduledLane, EarlierStart>;
using Eligible = PairingHeap<ScheduledLane, EarlierDeadline>;

// Whether the lane's weight is part of the sum of weights, and its start part of their mean.
bool counts(LaneState state) {
    return state == LaneState::waiting || state == LaneState::eligible || state == LaneState::leaving ||
           state == LaneState::holding;
}

bool in_a_heap(LaneState state) {
    return state != LaneState::out && state != LaneState::held;
}

} // namespace

// ------------------------------------------------------------------------------------------ the clock

// Starts and clock are rounded, hence the tolerance: a lane that is due must not wait for their last bits.
bool Schedule::due(const ScheduledLane &lane) const {
    return lane.start <= state_.now + 1e-9 + std::fabs(state_.now) * 1e-15;
}

// The lanes that count were charged with so many jobs in all. What rounding takes from this step of the clock
// is added to a later one; otherwise clock and lanes would drift apart within some hundred million jobs.
void Schedule::move_clock(double jobs) {
    if (state_.weight == 0) {
        state_.remainder = 0;
        return;
    }
    auto const weight = static_cast<double>(state_.weight);
    double const before = state_.now;
    state_.remainder += jobs;
    state_.now += state_.remainder / weight;
    state_.remainder -= weight * (state_.now - before);
}

void Schedule::count(int lane) {
    state_.weight += at(lane).weight;
    move_clock(at(lane).weight * (at(lane).start - state_.now));
}

// When the last lane that counts goes, the clock stops where it is.
void Schedule::discount(int lane) {
    double const ahead = at(lane).weight * (at(lane).start - state_.now);
    state_.weight -= at(lane).weight;
    move_clock(-ahead);
}

// ------------------------------------------------------------------------------------------ the heaps

void Schedule::put(int lane, LaneState state) {
    at(lane).state = state;
    if (state == LaneState::eligible)
        Eligible(lanes_, state_.eligible).insert(lane);
    else if (in_a_heap(state))
        Waiting(lanes_, state_.waiting).insert(lane);
}

void Schedule::take(int lane) {
    if (at(lane).state == LaneState::eligible)
        Eligible(lanes_, state_.eligible).remove(lane);
    else if (in_a_heap(at(lane).state))
        Waiting(lanes_, state_.waiting).remove(lane);
}

void Schedule::set_start(int lane, double start) {
    ScheduledLane &moved = at(lane);
    take(lane);
    double const before = moved.start;
    moved.start = start;
    if (counts(moved.state))
        move_clock(moved.weight * (moved.start - before));
    put(lane, moved.state);
}

// A lane that is ahead of its share must not move the clock of the other lanes until they have caught up.
void Schedule::join(int lane) {
    if (!due(at(lane))) {
        put(lane, LaneState::resting);
        return;
    }
    count(lane);
    put(lane, LaneState::eligible);
}

// Moves the lanes that are due from the heap of waiting lanes to the heap of eligible ones.
void Schedule::move_due() {
    while (state_.waiting != 0 && due(at(state_.waiting - 1))) {
        int const lane = state_.waiting - 1;
        LaneState const state = at(lane).state;
        take(lane);
        switch (state) {
        case LaneState::leaving:
            discount(lane);
            put(lane, LaneState::out);
            break;
        case LaneState::holding:
            discount(lane);
            put(lane, LaneState::held);
            at(lane).start -= state_.now;
            break;
        case LaneState::resting:
            count(lane);
            put(lane, LaneState::eligible);
            break;
        default:
            put(lane, LaneState::eligible);
        }
    }
}

// ------------------------------------------------------------------------------------------ picking

int Schedule::first() {
    for (;;) {
        move_due();
        if (state_.eligible == 0) {
            if (state_.waiting == 0)
                return -1;
            double const step = at(state_.waiting - 1).start - state_.now;
            state_.now += step;
            state_.remainder -= static_cast<double>(state_.weight) * step;
            continue;
        }
        int const lane = state_.eligible - 1;
        if (due(at(lane)))
            return lane;
        take(lane); // it was due before the clock went back
        put(lane, LaneState::waiting);
    }
}

void Schedule::charge(int lane) {
    ScheduledLane &charged = at(lane);
    take(lane);
    double const before = charged.start;
    charged.start += 1.0 / charged.weight;
    charged.sequence = ++state_.last_sequence;
    move_clock(charged.weight * (charged.start - before));
    put(lane, due(charged) ? LaneState::eligible : LaneState::waiting);
}

int Schedule::pick() {
    int const lane = first();
    if (lane >= 0)
        charge(lane);
    return lane;
}

void Schedule::give_back(int lane, int jobs) {
    if (at(lane).weight > 0 && jobs > 0)
        set_start(lane, at(lane).start - static_cast<double>(jobs) / at(lane).weight);
}

void Schedule::pass_over(int lane) {
    ScheduledLane &passed = at(lane);
    if (!contains(lane))
        return;
    if (passed.state == LaneState::held)
        passed.start += state_.now;
    take(lane);
    if (counts(passed.state))
        discount(lane);
    double const times = std::ldexp(1.0, std::min<int>(passed.passed_over, 10)); // 2^10 > kMostWeight
    passed.start = std::max(passed.start, state_.now) + std::min(1.0, times / passed.weight);
    passed.passed_over = static_cast<std::uint8_t>(std::min(passed.passed_over + 1, 255));
    passed.sequence = ++state_.last_sequence;
    put(lane, LaneState::resting);
}

// ------------------------------------------------------------------------------------------ coming and going

bool Schedule::contains(int lane) const {
    return at(lane).state != LaneState::out && at(lane).state != LaneState::leaving;
}

void Schedule::enter(int lane, int weight) {
    ScheduledLane &entering = at(lane);
    if (contains(lane)) {
        set_weight(lane, weight);
        return;
    }
    ++state_.lanes;
    if (entering.state == LaneState::leaving) { // it is as if the lane had never left
        entering.state = LaneState::waiting;
        set_weight(lane, weight);
        return;
    }
    entering.weight = std::clamp(weight, kLeastWeight, kMostWeight);
    entering.start = std::max(entering.start, state_.now);
    entering.sequence = ++state_.last_sequence;
    join(lane);
}

void Schedule::leave(int lane) {
    if (!contains(lane))
        return;
    --state_.lanes;
    hold(lane);
    if (at(lane).state == LaneState::holding) {
        at(lane).state = LaneState::leaving;
        return;
    }
    at(lane).state = LaneState::out;
    at(lane).start += state_.now;
}

void Schedule::set_weight(int lane, int weight) {
    ScheduledLane &changed = at(lane);
    weight = std::clamp(weight, kLeastWeight, kMostWeight);
    if (changed.weight == weight)
        return;
    take(lane);
    double const from = changed.state == LaneState::held || changed.state == LaneState::out ? 0 : state_.now;
    if (changed.state != LaneState::out)
        changed.start = from + (changed.start - from) * changed.weight / weight;
    if (counts(changed.state))
        state_.weight += weight - changed.weight;
    changed.weight = weight;
    put(lane, changed.state);
}

void Schedule::hold(int lane) {
    ScheduledLane &stopped = at(lane);
    if (!contains(lane) || stopped.state == LaneState::holding || stopped.state == LaneState::held)
        return;
    bool const counted = counts(stopped.state);
    take(lane);
    if (counted && !due(stopped)) {
        put(lane, LaneState::holding);
        return;
    }
    if (counted)
        discount(lane);
    stopped.start -= state_.now;
    put(lane, LaneState::held);
}

void Schedule::set_aside(int lane) {
    hold(lane);
    if (at(lane).state == LaneState::held)
        at(lane).start = std::max(at(lane).start, 0.0);
}

void Schedule::resume(int lane) {
    ScheduledLane &resumed = at(lane);
    if (resumed.state == LaneState::holding)
        resumed.state = LaneState::waiting;
    if (resumed.state != LaneState::held)
        return;
    resumed.start += state_.now;
    join(lane);
}

// ------------------------------------------------------------------------------------------ drawing

std::vector<Grant> draw(Schedule &schedule, int jobs, const std::function<int(int)> &room) {
    std::vector<Grant> grants;
    std::vector<int> rooms; // of the lane of each grant
    std::vector<int> held;
    auto const most = static_cast<std::size_t>(std::max(0, std::min(jobs, schedule.lanes())));
    grants.reserve(most);
    rooms.reserve(most);
    held.reserve(static_cast<std::size_t>(schedule.lanes())); // an exception must not leave lanes held
    auto const hold = [&](int lane) {
        held.push_back(lane);
        schedule.hold(lane);
    };
    while (jobs > 0) {
        int const lane = schedule.first();
        if (lane < 0)
            break;
        std::int32_t &grant = schedule.at(lane).grant;
        if (grant == 0) {
            int const most_here = room(lane);
            if (most_here <= 0) {
                hold(lane);
                continue;
            }
            grants.push_back({lane, 0});
            rooms.push_back(most_here);
            grant = static_cast<std::int32_t>(grants.size());
        }
        auto const index = static_cast<std::size_t>(grant - 1);
        schedule.charge(lane);
        --jobs;
        if (++grants[index].jobs == rooms[index])
            hold(lane);
    }
    for (Grant const &grant : grants)
        schedule.at(grant.lane).grant = 0;
    for (int const lane : held)
        schedule.resume(lane);
    return grants;
}

} // namespace fairq::core
