// Where the lanes hold nothing but dead entries, after many jobs have been deleted at once.
#pragma once

#include "core/skip_ranges.hpp"
#include "pg/boundary.hpp"

namespace fairq::tables {

struct DeadRanges {
    std::string queue, tenant;
    std::vector<core::KeyRange> ranges; // at most as many as a lane has skip ranges
};

// The lanes in which many entries have no row that a new snapshot sees, with this transaction's own changes; a row that
// it sees is in no range, whatever its status. Looks at entries for at most `longest` microseconds.
std::vector<DeadRanges> dead_ranges(Oid schema, int64 longest);

} // namespace fairq::tables
