// How long jobs have waited: for metrics.
#pragma once

#include "pg/boundary.hpp"

namespace fairq::tables {

// created_at of the oldest queued job (of type load_test only, if asked), or none. By id, which is the order
// of enqueue. Bounded: behind 10,000 older jobs that are not queued it is the oldest at the fronts of 1,000
// lanes.
std::optional<TimestampTz> oldest_queued(Oid schema, bool load_test_only);

// Since when the first queued job of each lane can be claimed; none for a lane where it is not soon behind
// the jobs that are running, of which there are about so many.
struct LaneFront {
    std::string_view tenant;
    int64 running;
};
std::vector<std::optional<TimestampTz>> lane_fronts(Oid schema, const std::vector<LaneFront> &lanes);

} // namespace fairq::tables
