// What the sessions of a queue share in memory, in one slot for each (database, job_live): behind which
// tenant the next claim begins, how far the housekeeping has come, up to where an index has only dead
// entries, and how many jobs are in which status. The tables are the truth: any of it can be lost at any
// moment (no preload, a restart, a slot given to another queue), and answers are still right, only slower.
#pragma once

#include "core/count_plan.hpp"
#include "pg/shared_memory.hpp"

namespace fairq::shared {

constexpr int kCountedStatuses = 7;
constexpr int kFirstFinished = 4; // the statuses from here on are those of job_history
// [0]: all jobs, [1]: load-test jobs; then by status, in the order of job_status.
struct StatusCounts {
    int64 by_status[2][kCountedStatuses] = {};
};

namespace queue_state {

extern const pg::shared_memory::Segment segment;
bool available();

// The tenant behind which the next claim of the queue begins; none when that is not known.
std::optional<std::string> rotation(Oid table, std::string_view queue);
void set_rotation(Oid table, std::string_view queue, std::string_view tenant);

// How far sweeps have come. scope: those for all tenants have 0, those of a role that is bound to tenants its oid. Such a
// role leaves out other tenants, whose own sweeps it must not delay.
// True at most once in a second, and more often while a sweep has left work: the session that gets it does the sweep.
bool sweep_is_due(Oid table, Oid scope);
void sweep_again(Oid table, Oid scope); // the sweep has left work
// Behind which entry the next search begins, so that no entry, however many there are, is left out for long. None: that
// is not known. Then it begins at a random entry, or where shared memory is available, at the first one.
enum class Search { leases, keys, types, count };
struct Place {
    std::string first, second; // names, of at most 255 bytes
    int64 major = 0, minor = 0;
};
std::optional<Place> place(Oid table, Oid scope, Search search);
void set_place(Oid table, Oid scope, Search search, const Place &place);

// How long ago the server's clock was set, by more than `tolerance`, so that times in the tables say nothing about how
// long ago they were. None: not as far as this server, or without shared memory this session, can tell. Microseconds.
std::optional<int64> clock_was_set(int64 tolerance);

// Counts what housekeeping could not do because of an error.
void count_failure(Oid table);
int64 failures(Oid table); // since the numbers were lost
// Whether it is time to tell the log that a step fails: not if that was done within the last hour.
constexpr int kSteps = 11;
bool step_is_to_be_logged(Oid table, int step);

// True at most once in `interval` microseconds and in one session only: that session looks at the partitions.
bool partitions_are_due(Oid table, TimestampTz now, int64 interval);

// Up to which time an index has only dead entries, and when the next full look is due (see
// tables/low_water_mark.cpp).
enum class MarkedIndex { due_jobs, advancing_runs, leases, count };
struct LowWaterMark {
    TimestampTz to = DT_NOBEGIN, look_again_at = 0;
};
LowWaterMark low_water_mark(Oid table, MarkedIndex index);
void set_low_water_mark(Oid table, MarkedIndex index, LowWaterMark mark);

// The numbers of jobs by status, to which commits add their changes. They begin with a count or an estimate of a part:
//   generation = begin_count(): the numbers of the part start from zero and collect what commits
//   end_count(generation, counted): adds what a snapshot saw that was taken at the moment of begin_count()
// What is written directly to the tables after that is not included.
enum class Part { live, history, count }; // job_live, job_history
constexpr int kParts = static_cast<int>(Part::count);
struct Parts {
    bool part[kParts];
};
void add(Oid table, const StatusCounts &changes);
struct KnownCounts {
    StatusCounts counts;
    core::Known known[kParts] = {};
    TimestampTz counted_at[kParts] = {}; // or estimated
};
KnownCounts read(Oid table);
// None when another session is counting already.
std::optional<uint64> begin_count(Oid table, Parts parts, TimestampTz now);
// known: what is known of the parts that begin_count() was called for. counted: zeros for other parts.
void end_count(Oid table, uint64 generation, const StatusCounts &counted, const core::Known (&known)[kParts],
               TimestampTz counted_at);
void forget_counts(Oid table);

} // namespace queue_state
} // namespace fairq::shared
