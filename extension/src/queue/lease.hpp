// Leases that have ended, and their jobs.
#pragma once

#include "queue/failures.hpp"

namespace fairq::queue {

struct Lease {
    int64 token;
    std::string worker;
    Ids jobs;
    TimestampTz locked_at;
};
struct LeaseRow {
    enum Column { token = 1, worker, jobs, locked_at };
};
std::vector<Lease> leases_of(const pg::Rows &rows);

// The first chunk of a budget for put_back(): a job may take a microsecond or, with a large payload, milliseconds.
constexpr int kFirstJobs = 16;

// Whether jobs are tried again that lately could not be moved.
enum class Noted { passed_over, tried };
struct PutBack {
    int64 jobs = 0;    // queued again, or dead
    int64 ended = 0;   // leases
    bool left = false; // jobs that the budget had no room for
};
// Puts back jobs of these leases, which this transaction has locked, as many as the budget allows, and deletes the
// leases that hold no job any more.
PutBack put_back(const std::vector<Lease> &leases, core::Budget &budget, Noted noted);
// As reclaim().
int64 reclaim_within(core::Budget budget, int64 stale_after, Noted noted);

} // namespace fairq::queue
