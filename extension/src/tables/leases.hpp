// The rows of job_leases below SQL: one a claim.
#pragma once

#include "tables/live_table.hpp"

namespace fairq::tables {

// Writes the lease of a claim. False: job_leases carries what this would bypass; the caller uses SQL.
bool insert_lease(Oid schema, const ClaimStamp &stamp, const std::vector<int64> &jobs);

} // namespace fairq::tables
