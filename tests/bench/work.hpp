// work.hpp: workers that claim and complete, and what their calls cost.
#pragma once

#include <string>

#include "contender.hpp"
#include "measure.hpp"

namespace fairq::bench {

struct Setting {
    int connections;
    bool synchronous;
    int batch = kBatch;
    std::string name() const; ///< "4 conn, sync"
};

struct Figures {
    Samples rate, claim_ms, claim_p99_ms, complete_ms, wal;
};

/// So many connections claim and complete until so many jobs are done, after a vacuum and a first call each.
/// Takes jobs from `first` on and returns the first that it left.
long long work_off(Connection &admin, const std::string &database, const Contender &contender,
                   const Setting &setting, long long first, long long jobs, Figures &figures);

/// What one measurement of that takes from the queue.
long long needed(const Setting &setting, long long jobs);

/// A queue of fairq in a database of its own; the claims of one connection, looked at again and again.
struct Queue {
    std::string database;
    Jobs jobs;
    Samples p50{}, p99{}, per_job{}, given{}; ///< ms a claim, microseconds a job, jobs a claim
};

void prepare(Queue &queue);

struct Look {
    int claims;
    bool whole = true;  ///< must each claim be full?
    bool vacuum = true; ///< afterwards
};

/// Claims and completes, and gives each tenant as many new jobs as were claimed of it; asynchronous commits.
void look_at(Queue &queue, const Look &look);

/// Makes the server what one is that has been up for a while: every page of its memory used, log segments
/// there to be used again. Otherwise the contender that runs first would pay the kernel for them.
void age_server();

} // namespace fairq::bench
