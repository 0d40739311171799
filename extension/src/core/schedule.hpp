// The schedule: which lane (tenant) of a queue is served next, so that lanes of different weight share the
// jobs of all claims fairly.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

namespace fairq::core {

constexpr int kLeastWeight = 1;
constexpr int kMostWeight = 1000;

enum class LaneState : std::uint8_t {
    out,      // The lane is not in the schedule.
    waiting,  // It is ahead of its share, so that its next job is not due yet.
    eligible, // Its next job is due.
    leaving,  // It left ahead of its share: its weight counts until the other lanes have caught up.
    holding,  // It was held ahead of its share: likewise.
    held,     // pick() skips it; its weight does not count, and its start is relative to the clock.
    resting,  // It was passed over or came back with a debt: its weight counts again when it is due.
};

// A lane's entry in the schedule. All zero: the lane is not in the schedule, and never was.
struct ScheduledLane {
    double start;                       // virtual time from which its next job is due
    std::uint64_t sequence;             // decides ties: the lane that has waited longer has the lower number
    std::int32_t weight;                // kLeastWeight to kMostWeight
    std::int32_t child, next, previous; // links in its heap: index + 1, or 0 for none
    std::int32_t grant;                 // in the draw under way: index of its grant + 1, or 0 for none
    LaneState state;
    std::uint8_t passed_over; // how many times in a row
};

// What all lanes of a schedule have in common. All zero: an empty schedule.
struct ScheduleState {
    double now;                     // virtual time: how many jobs a lane of weight 1 should have got
    double remainder;               // jobs by which `now` lags behind the starts, by rounding
    std::int64_t weight;            // sum over the lanes whose weight counts
    std::uint64_t last_sequence;    // the highest number that a lane has got so far
    std::int32_t eligible, waiting; // roots of the two heaps: index + 1, or 0 for none
    std::int32_t lanes;
};

// Earliest Eligible Virtual Deadline First (I. Stoica & H. Abdel-Wahab, 1995), with jobs of size 1. A lane's
// jobs are due 1/weight of virtual time apart and have to be served within 1/weight from then; of the lanes
// that are due, the one with the earliest deadline is served next. So at every moment each lane is within one
// job of its share. Two simpler rules fail: by the earliest deadline alone a heavy lane would be served in
// one burst, by the earliest start alone it would wait for all light ones.
//
// Virtual time is the mean of the starts of the lanes that count, by weight: that is where all of them would
// be, had everything been divided exactly. It follows from the lanes alone, so that a job given back, a lane
// gone and a weight changed need no bookkeeping of the past. It can go back when jobs are given back.
//
// A Schedule is a view of arrays that live elsewhere (their links are indexes, not pointers), and it takes no
// lock. Each call costs O(log n), amortised: both heaps are pairing heaps.
class Schedule {
public:
    Schedule(ScheduledLane *lanes, ScheduleState &state) : lanes_(lanes), state_(state) {}

    // The lane takes part from now on, without credit for the past; or, if it is in already, gets the weight.
    void enter(int lane, int weight);
    // The lane's start is remembered, so that it gains nothing by leaving and coming back.
    void leave(int lane);
    // Acts from the next pick on. The lane stays as many jobs ahead or behind as it was.
    void set_weight(int lane, int weight);

    // Charges the lane that is served next with one job and returns it; -1 only when no lane can be picked:
    // when none is due yet, virtual time moves on to the lane that is due first.
    int pick();
    // Takes back the charge for jobs that the lane could not use, even if it has left meanwhile.
    void give_back(int lane, int jobs);
    // The lane could not be served now (paused, at a limit). It is due later, twice as late each time in a
    // row, up to the time of one job of a lane of weight 1, and it saves nothing up meanwhile.
    void pass_over(int lane);
    // The lane was served: when it is passed over next, that is the first time in a row again.
    void served(int lane) { at(lane).passed_over = 0; }

    // pick() skips the lane until resume(). It stays in the schedule, and the clock stands still for it, so
    // that it neither gains nor loses.
    void hold(int lane);
    void resume(int lane);
    // As hold(), for a lane that could not have been served: what it is behind its share, it loses.
    void set_aside(int lane);

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
    void put(int lane, LaneState state);
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
// is asked once for each lane that is reached. A lane without room is held until the draw ends. The grants
// are in the order in which the lanes were first served, and their sum is less than `jobs` only when no lane
// has room left. The draw allocates before it changes the schedule, which stays as it is if memory runs out.
//
// Each grant is within one job of the weighted max-min fair one, if room() knows how much work a lane has. A
// claim that finds that out only by looking has two ways. To be as exact, it gives everything back once lanes
// had less, and draws again with that room, before it takes any job. If it takes jobs at once, and draws
// again only what is missing, still no lane gets more than one job too much; but the rounding of all the
// other lanes can be at the expense of one heavy lane: it lacks up to one job more for each lane that had
// less, and gets these jobs in the next draws.
std::vector<Grant> draw(Schedule &schedule, int jobs, const std::function<int(int)> &room);

} // namespace fairq::core
