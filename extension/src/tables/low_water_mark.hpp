// Work that an index holds in the order of a time: scheduled jobs that are due, pipeline runs with a step to take,
// leases that may be stale. Every claim asks whether there is such work, and mostly there is none. So the index is
// read below SQL, and the time up to which it holds only dead entries is stored as the index's low-water mark.
#pragma once

#include "shared/queue_state.hpp"

namespace fairq::tables {

// The first time up to `until` for which the index has a row, also one that another transaction is changing; or none.
// While the index begins with many dead entries, a row that comes with a time below the low-water mark is found at the
// next full look, after one to ten seconds (the longer a full look takes, the later).
std::optional<TimestampTz> first_due_job(Oid schema, TimestampTz until);
std::optional<TimestampTz> first_advancing_run(Oid schema);
std::optional<TimestampTz> first_lease(Oid schema, TimestampTz until);

} // namespace fairq::tables
