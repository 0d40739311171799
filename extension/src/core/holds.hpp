// Which lanes are held: none of their jobs can run now, so that claims do not look at them until an event, or a time,
// may have changed that. What a claim costs depends on the tenants that can run, not on those that cannot.
//
// THE RULE, by which a hold never hides a job that can run. All of this is read and written under one lock (the ring's).
//
//   Reasons.  A lane is held for one of two reasons. `limits`: its tenant is paused, at its cap or out of tokens.
//             `jobs`: each of its jobs is of a paused type.
//   Events.   What may end a hold is an event, for one lane or for all lanes of the queue, and for one reason.
//             Events are numbered (HoldState::events). Each lane keeps for each reason the number of its last event
//             (HeldLane::events), and so does the queue for events of all lanes (HoldState::events_of_all).
//   A claim   1. reads `seen` = HoldState::events under the lock;
//             2. only then takes the snapshots by which it judges, and reads limits and paused types, as of the latest
//                commit of which it was told (table_cache.hpp);
//             3. calls hold(lane, reason, until, seen) under the lock. hold() does nothing if the last event of the
//                lane, or of all lanes, for this reason has a number above `seen`. A transaction that has itself changed
//                limits or paused types holds no lane, because its change may be rolled back.
//   An event  is told, under the lock, only when each claim that begins afterwards finds the change: after the commit
//             (or the rollback) is visible to new snapshots, and, if limits or paused types changed, after the
//             invalidations of their copies were sent. It gets the next number; if the lane is held for its
//             reason, the hold ends. An event of all lanes ends the holds that are older (seen < its number), some
//             lanes at a time, each time under the lock.
//             `limits`, of one lane: a job of a tenant with a cap ends or goes back (complete, fail, release, cancel,
//             reclaim); set_tenant_limits; the rollback of a claim that took jobs of the lane.
//             `limits`, of all lanes: tenant_limits written directly; the clock went back; jobs of unknown tenants
//             ended (clear_load_test_data).
//             `jobs`, of one lane: a job enters the lane; the rollback of a claim that took or passed jobs of the lane.
//             `jobs`, of all lanes: resume_job_type; paused_job_types written directly.
//   Time.     A lane that is out of tokens is held until the time at which its rate lets the next job through, by the
//             wall clock, as the rate is counted. The first draw whose time `now` is not before `until` ends the hold.
//             When a claim's clock is more than kClockTolerance behind the latest one that a claim has told, that is an
//             event of all lanes for `limits`.
//   Rescan.   While claims come, each lane that the index has is looked at in its turn, a thousand a second: if
//             the limits of a held lane would let it run now, or if it is held for `jobs`, its hold ends. That finds
//             what nothing told: prepared transactions, rows written directly or by replication.
//
// A lane that leaves the schedule, or whose tenant is forgotten, is not held any more.
#pragma once

#include "core/schedule.hpp"

#include <cstdint>

namespace fairq::core {

enum class HoldReason : std::uint8_t { limits, jobs };
constexpr int kHoldReasons = 2;
constexpr std::int64_t kUntilEvent = INT64_MAX;       // a hold that no time ends
constexpr std::int64_t kClockTolerance = 1000 * 1000; // microseconds; claims tell their times in any order

// What is known of a lane. All zero: it is not held, and there was no event.
struct HeldLane {
    std::uint64_t events[kHoldReasons]; // its last event for each reason; 0: none
    std::uint64_t seen;                 // of the claim that held it
    std::int64_t until;                 // microseconds, or kUntilEvent
    std::int32_t child, next,
        previous; // links in the heap of lanes that a time resumes: index + 1, or 0 for none
    HoldReason reason;
    bool held;
};

// What all lanes of a queue have in common. All zero: there was no event.
struct HoldState {
    std::uint64_t events; // how many there were
    std::uint64_t events_of_all[kHoldReasons];
    std::int64_t clock; // the latest time that a claim has told
    std::int32_t due;   // root of the heap by time: index + 1, or 0 for none
    std::int32_t lanes; // that are held
};

// A view of arrays that live elsewhere, beside a Schedule with the same indexes. It takes no lock. hold() and the end of
// a hold cost O(log n), amortised.
class Holds {
public:
    Holds(HeldLane *lanes, HoldState &state, Schedule schedule)
        : lanes_(lanes), state_(state), schedule_(schedule) {}

    // The lane, which is in the schedule, is not picked until an event or a time ends the hold. False: it is not held,
    // because of an event that the claim has not seen. A lane that is held already stays as it is.
    bool hold(int lane, HoldReason reason, std::int64_t until, std::uint64_t seen);
    bool is_held(int lane) const { return lanes_[lane].held; }
    // Ends the hold, whatever its reason. False: there was none.
    bool end(int lane);

    // An event of this lane. True: its hold has ended.
    bool happened(int lane, HoldReason reason);
    // An event of all lanes; then end_if_older() is to be called for each of them.
    void happened_to_all(HoldReason reason) { state_.events_of_all[index(reason)] = ++state_.events; }
    // Ends the lane's hold if it is older than the last event of all lanes for its reason. False: there is none.
    bool end_if_older(int lane);

    // Ends the hold of a lane whose time has come and returns the lane: the one with the earliest time. -1: none has.
    int end_due(std::int64_t now);
    // The earliest time that ends a hold; kUntilEvent: there is none.
    std::int64_t next_time() const { return state_.due == 0 ? kUntilEvent : lanes_[state_.due - 1].until; }
    // True: the clock went back, which is an event of all lanes (limits).
    bool clock_went_back(std::int64_t now);

private:
    static int index(HoldReason reason) { return static_cast<int>(reason); }
    std::uint64_t last_event(int lane, HoldReason reason) const;

    HeldLane *lanes_;
    HoldState &state_;
    Schedule schedule_;
};

} // namespace fairq::core
