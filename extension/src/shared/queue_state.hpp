// What the sessions of a queue share in memory, in one slot for each (database, job_live): behind which
// tenant the next claim begins, when a session last did the housekeeping, up to where an index has only dead
// entries, and how many jobs are in which status. The tables are the truth: any of it can be lost at any
// moment (no preload, a restart, a slot given to another queue), and answers are still right, only slower.
#pragma once

#include "pg/shared_memory.hpp"

namespace fairq::shared {

constexpr int kCountedStatuses = 7;
// [0]: all jobs, [1]: load-test jobs; then by status, in the order of job_status.
struct StatusCounts {
    int64 by_status[2][kCountedStatuses] = {};
};

namespace queue_state {

extern const pg::shared_memory::Segment segment;
bool available();

// The tenant behind which the next claim begins; none when that is not known.
std::optional<std::string> rotation(Oid table);
void set_rotation(Oid table, std::string_view tenant);

// True at most once in `interval` microseconds and in one session only: that session does the housekeeping.
bool housekeeping_is_due(Oid table, TimestampTz now, int64 interval);
bool own_housekeeping_is_due(TimestampTz now, int64 interval);       // the same, for this session alone
bool partitions_are_due(Oid table, TimestampTz now, int64 interval); // the same, to look at partitions
void hasten_housekeeping(Oid table); // it is due again at once, because the last one has left work

// Up to which time an index has only dead entries, and when the next full look is due (see
// tables/low_water_mark.cpp).
enum class MarkedIndex { due_jobs, advancing_runs, leases, count };
struct LowWaterMark {
    TimestampTz to = DT_NOBEGIN, look_again_at = 0;
};
LowWaterMark low_water_mark(Oid table, MarkedIndex index);
void set_low_water_mark(Oid table, MarkedIndex index, LowWaterMark mark);

// The numbers of jobs by status, to which commits add their changes. A count of all jobs makes them exact:
//   generation = begin_count(), while no transaction writes: numbers start from zero and collect what commits
//   end_count(generation, counted): adds what a snapshot saw that was taken at the moment of begin_count()
void add(Oid table, const StatusCounts &changes);
struct KnownCounts {
    StatusCounts counts;
    bool exact = false;         // false: no session has finished a count since the numbers were lost
    TimestampTz counted_at = 0; // what was written directly to the tables since then is not included
};
KnownCounts read(Oid table);
// None when another session is counting already.
std::optional<uint64> begin_count(Oid table, TimestampTz now);
void end_count(Oid table, uint64 generation, const StatusCounts &counted, TimestampTz counted_at);
void forget_counts(Oid table);

} // namespace queue_state
} // namespace fairq::shared
