// What this transaction changes in the number of jobs by status. Collected here, taken back when a savepoint
// rolls back, added to shared memory when the transaction commits.
#pragma once

#include "shared/queue_state.hpp"

namespace fairq::shared::counters {

void install_callbacks(); // by _PG_init, when preloaded

// `jobs` jobs, of them `load_test` load-test jobs, went from one status to another. -1 as `from`: they are
// new; -1 as `to`: they are gone. Statuses are numbered as in job_status.
void moved(Oid table, int from, int to, int64 jobs, int64 load_test);

// What this transaction has changed and not committed yet; none if nothing.
std::optional<StatusCounts> pending();

} // namespace fairq::shared::counters
