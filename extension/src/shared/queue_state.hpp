// What queues of this server share in memory, one slot for each (database, job_live): where the last claim
// stopped, when a claim last looked for stale leases, what is gone at the front of an index, and how many
// jobs are in which status. The tables are the truth: any of it can be lost at any moment (no preload, a
// restart, a slot given to another queue) and every answer is still right, only slower.
#pragma once

#include "pg/shared_memory.hpp"

namespace fairq::shared {

constexpr int kCountedStatuses = 7;
// [0]: all jobs, [1]: load_test jobs; by status in the order of job_status.
struct StatusCounts {
    int64 by_status[2][kCountedStatuses] = {};
};

namespace queue_state {

extern const pg::shared_memory::Segment segment;
bool available();

// The tenant behind which the next claim starts; none when nobody remembers.
std::optional<std::string> rotation(Oid table);
void set_rotation(Oid table, std::string_view tenant);

// True at most once in `interval` microseconds for all sessions together: whoever gets it does the sweep.
bool sweep_is_due(Oid table, TimestampTz now, int64 interval);
bool own_sweep_is_due(TimestampTz now, int64 interval); // the same for this session alone
void sweep_again(Oid table); // the next one is due at once: this one has left something

// Up to which time a front has been mark, and when to look at all of it again (see front.cpp).
enum class MarkedIndex { due_jobs, advancing_runs, leases, count };
struct LowWaterMark {
    TimestampTz to = DT_NOBEGIN, look_again_at = 0;
};
LowWaterMark low_water_mark(Oid table, MarkedIndex index);
void set_low_water_mark(Oid table, MarkedIndex index, LowWaterMark mark);

// Counts, kept by adding what each transaction changed when it commits. They are exact once a full count was
// installed:
//   generation = begin_count(), with no writer in progress → counts start from zero and collect what commits
//   from now on end_count(generation, counted)                         → adds what a snapshot taken at that
//   moment saw
void add(Oid table, const StatusCounts &changes);
struct Kept {
    StatusCounts counts;
    bool exact = false;         // false: not counted (yet)
    TimestampTz counted_at = 0; // what was written directly to the tables since then is not in it
};
Kept read(Oid table);
// None when another session is counting already.
std::optional<uint64> begin_count(Oid table, TimestampTz now);
void end_count(Oid table, uint64 generation, const StatusCounts &counted, TimestampTz counted_at);
void forget_counts(Oid table);

} // namespace queue_state
} // namespace fairq::shared
