// What this transaction changes in the numbers of jobs by status. The changes are collected here, taken back
// when a savepoint rolls back, and added to shared memory when the transaction commits.
#pragma once

#include "shared/queue_state.hpp"

namespace fairq::shared::counters {

void install_callbacks(); // by _PG_init, when preloaded

// `jobs` jobs, of them `load_test` load-test jobs, went from one status to another. -1 as `from`: the jobs
// are new; -1 as `to`: they are gone. Statuses are numbered as in job_status.
void moved(Oid table, int from, int to, int64 jobs, int64 load_test);

// What this transaction has changed and not committed yet; none if it has changed nothing.
std::optional<StatusCounts> pending();

} // namespace fairq::shared::counters
