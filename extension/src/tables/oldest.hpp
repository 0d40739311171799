// Since when jobs have waited, for metrics.
#pragma once

#include "core/lane_name.hpp"
#include "pg/boundary.hpp"

namespace fairq::tables {

// created_at of the oldest queued job (load_test_only: of the type load_test), or none. Jobs are read by id, that is
// in the order in which they were enqueued. When none of the first 10,000 is queued, the answer is the oldest among
// the first queued jobs of 1,000 lanes.
std::optional<TimestampTz> oldest_queued(Oid schema, bool load_test_only);

// Since when the first queued job of each lane can be claimed. running: about how many running jobs stand in
// front of it; none for a lane that has no queued job soon behind those.
struct LaneFront {
    core::LaneName lane;
    int64 running;
};
std::vector<std::optional<TimestampTz>> lane_fronts(Oid schema, const std::vector<LaneFront> &lanes);

} // namespace fairq::tables
