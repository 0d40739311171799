// How many queued jobs each tenant has, those included that are parked: kept in the ring's memory as the
// counts by status are (see queue_state.hpp). What a transaction changes is collected here, taken back when
// a savepoint rolls back, added when the transaction commits. If what it said of tenants is not what it said
// of statuses (counters.hpp), nobody knows the queued counts from then on, and they are counted again.
#pragma once

#include "pg/boundary.hpp"
#include "shared/name_hash.hpp"

namespace fairq::shared::queued_counts {

using QueuedCounts = shared::NameMap<int64>;

void install_callbacks(); // by _PG_init, when preloaded, after those of the counters

// This many jobs of the tenant became queued; fewer than none: are not queued any more.
void changed(Oid table, std::string_view tenant, int64 jobs);
// Adds what this transaction has changed and not committed yet.
void add_pending(QueuedCounts &counts);

// As the counts of queue_state.hpp: a number with no writer in progress, then what a snapshot of that moment
// saw. 0: there is no memory.
uint64 begin_count(Oid table);
void end_count(Oid table, uint64 count, const QueuedCounts &counted);

} // namespace fairq::shared::queued_counts
