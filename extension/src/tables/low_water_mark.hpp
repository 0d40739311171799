// Work that an index holds in the order of a time: scheduled jobs that are due, pipeline runs with a step to
// take, leases that may be stale. Every claim asks whether there is any, and mostly there is none; so the
// index is read below SQL, and the time up to which it holds only dead entries is remembered.
#pragma once

#include "shared/queue_state.hpp"

namespace fairq::tables {

// The first time up to `until` for which the index has a row, also one that another transaction is changing; or
// none. While the index begins with many dead entries, a row that comes late, with a time that earlier looks
// have passed, is found up to a second later (ten, where it takes long to look at all entries).
std::optional<TimestampTz> first_due_job(Oid schema, TimestampTz until);
std::optional<TimestampTz> first_advancing_run(Oid schema);
std::optional<TimestampTz> first_lease(Oid schema, TimestampTz until);

} // namespace fairq::tables
