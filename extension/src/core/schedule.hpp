// Whose turn it is: the fair division of jobs between lanes (tenants) of different weight, over all claims.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

namespace fairq::core {

constexpr int kLeastWeight = 1;
constexpr int kMostWeight = 1000;

enum class Place : std::uint8_t {
    out,      // not in the schedule
    waiting,  // ahead of its share: not due yet
    eligible, // due
    leaving,  // left ahead of its share: its weight counts until the others have caught up
    holding,  // held ahead of its share: likewise
    held,     // out of the way of pick(); its weight does not count, its start is relative to the clock
    resting,  // not due yet, and its weight does not count until then: passed over, or back with a debt
};

// All zero: not in the schedule, and never was.
struct ScheduledLane {
    double start;                       // virtual time from which its next job is due
    std::uint64_t turn;                 // ties go to whoever has waited longest
    std::int32_t weight;                // kLeastWeight to kMostWeight
    std::int32_t child, next, previous; // links in its heap: index + 1, or 0 for none
    std::int32_t grant;                 // in the draw under way: index of its part + 1
    Place place;
    std::uint8_t passed_over; // times in a row
};

// All zero: an empty schedule.
struct ScheduleState {
    double now;          // virtual time: how many jobs a lane of weight 1 should have got
    double rest;         // jobs by which `now` is behind the starts, for what rounding took from it
    std::int64_t weight; // of the lanes that count
    std::uint64_t turns;
    std::int32_t eligible, waiting; // roots of the two heaps: index + 1, or 0 for none
    std::int32_t lanes;
};

// Earliest Eligible Virtual Deadline First (I. Stoica & H. Abdel-Wahab, 1995), with jobs of size 1. A lane's
// jobs are due 1/weight of virtual time apart and have to be served within 1/weight from then; of the lanes
// that are due, the one with the earliest deadline is next. So nobody gets a job more than its share at any
// moment, nor lacks one: taking the earliest deadline alone would serve a heavy lane in one burst, taking
// the earliest start alone would let a heavy lane wait for all light ones.
//
// Virtual time is the mean of the starts of the lanes that count, by weight: that is where all of them would
// be, had everything been divided exactly. It follows from the lanes alone, so that a job given back, a lane
// gone and a weight changed need no bookkeeping of the past. It can go back when jobs are given back.
//
// A view of arrays that live elsewhere (links are indexes, not pointers). Not synchronised. O(log n) each,
// amortised: both heaps are pairing heaps.
class Schedule {
public:
    Schedule(ScheduledLane *lanes, ScheduleState &state) : lanes_(lanes), state_(state) {}

    // From now on, without credit for the past. A lane that is in already only gets the weight.
    void enter(int lane, int weight);
    // Its start stays, so that leaving and coming back gains nothing.
    void leave(int lane);
    // Acts on the next pick: the jobs that it is ahead or behind stay, the time to make up for them changes.
    void set_weight(int lane, int weight);

    // The lane whose next job is due first, charged with one job; -1 when nobody is there. While there is
    // somebody, somebody is served: when nobody is due, virtual time goes on to whoever is due next.
    int pick();
    // Takes back the charge for jobs that a lane could not use, also from a lane that has left meanwhile.
    void give_back(int lane, int jobs);
    // Could not be served now (paused, at a limit): its turn is behind the others', later each time up to
    // one job's time of a lane of weight 1, and nothing is saved up meanwhile.
    void pass_over(int lane);
    // It was served: the next time that it is passed over is a first time.
    void served(int lane) { at(lane).passed_over = 0; }

    // Out of the way of pick() until resume(), without gain or loss: the clock stands still for it. It stays
    // in the schedule.
    void hold(int lane);
    void resume(int lane);

    bool contains(int lane) const;
    int lanes() const { return state_.lanes; }
    double now() const { return state_.now; }

private:
    friend std::vector<struct Grant> draw(Schedule &, int, const std::function<int(int)> &);

    ScheduledLane &at(int lane) const { return lanes_[lane]; }
    bool due(const ScheduledLane &lane) const;
    int first();
    void charge(int lane);
    void join(int lane);
    void move_due();
    void move_clock(double jobs);
    void count(int lane);
    void discount(int lane);
    void put(int lane, Place place);
    void take(int lane);
    void set_start(int lane, double start);

    ScheduledLane *lanes_;
    ScheduleState &state_;
};

struct Grant {
    int lane;
    int jobs;
};

// Draws up to `jobs` jobs. room(lane) is the most that the lane may get in this draw; it must not throw, and
// is asked once for a lane whose turn comes. A lane out of room is held until the end. Parts are in the order
// of the lanes' first turns; their sum is less than `jobs` only when all lanes are out of room.
//
// Each part is within one job of the weighted max-min fair one, if room() knows how much work a lane has.
// Where that comes out by asking, a claim that has to be so exact gives everything back once lanes had less,
// and draws again with that room, before it takes any job. One that takes at once, and draws again only what
// is missing, gives nobody more than a job too much, but the others' rounding can be taken from one heavy
// lane: it lacks up to one job more for each lane that had less, and gets it in the next draws.
std::vector<Grant> draw(Schedule &schedule, int jobs, const std::function<int(int)> &room);

} // namespace fairq::core
