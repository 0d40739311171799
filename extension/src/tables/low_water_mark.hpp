// Work that waits at the front of an index, in the order of a time: scheduled jobs that are due, pipeline
// runs with a step to take, leases that may be stale. Every claim asks whether there is any, and mostly there
// is none; so that is read below SQL, and a front of dead entries is remembered.
#pragma once

#include "shared/queue_state.hpp"

namespace fairq::tables {

// The first time up to `until` at which something waits, or somebody has it just now; none: nothing does.
// Only while many dead entries stand in front, what comes in late, at a time that others have passed, is told
// of a second later (ten, where it takes long to look at them all).
std::optional<TimestampTz> first_due_job(Oid schema, TimestampTz until);
std::optional<TimestampTz> first_advancing_run(Oid schema);
std::optional<TimestampTz> first_lease(Oid schema, TimestampTz until);

} // namespace fairq::tables
