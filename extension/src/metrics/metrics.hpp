// What the metrics have in common: the counts that they show.
#pragma once

#include "queue/queue.hpp"

namespace fairq::metrics {

using shared::queued_counts::Depths;

struct Counts {
    shared::StatusCounts jobs;
    bool exact;
    std::optional<Depths> depths; // none: not asked for, or they stand in the ring's memory
};
// by_tenant: whether tenants' depths are wanted as well.
Counts counts(bool by_tenant);

struct TenantFigures {
    pg::Value json;                            // an array
    bool exact;                                // their depths
    std::optional<int64> dwell_p50, dwell_p99; // of quiet tenants' jobs in the last minute, tenths of a ms
    int64 dwell_jobs = 0;
};
TenantFigures tenants(const Counts &counts);

// A result that outlives the SPI connection it came from.
pg::Value only_value(const pg::Rows &rows);

} // namespace fairq::metrics
