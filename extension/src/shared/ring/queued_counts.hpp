// The queued counts: how many queued jobs each lane has, parked jobs included. They live in the ring's
// memory and work as the counts by status do (see queue_state.hpp): what a transaction changes is collected
// here, taken back when a savepoint rolls back, and added when the transaction commits. If the changes by
// lane do not add up to the change by status (counters.hpp), the queued counts are unknown from then on,
// until they are counted again.
#pragma once

#include "core/lane_name.hpp"
#include "pg/boundary.hpp"

#include <map>

namespace fairq::shared::queued_counts {

using QueuedCounts = std::map<core::OwnLaneName, int64, core::LaneOrder>;

void install_callbacks(); // by _PG_init, when preloaded, after those of the counters

// `jobs` jobs of the lane became queued; a negative number: that many are not queued any more.
void changed(Oid table, core::LaneName lane, int64 jobs);
// Adds to `counts` what this transaction has changed and not committed yet.
void add_pending(QueuedCounts &counts);

// A count, as in queue_state.hpp: it begins while no transaction writes, and ends with what a snapshot of
// that moment saw. The result is the count's generation; 0: shared memory has no place for it.
uint64 begin_count(Oid table);
void end_count(Oid table, uint64 generation, const QueuedCounts &counted);

} // namespace fairq::shared::queued_counts
