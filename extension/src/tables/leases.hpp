// The rows of job_leases below SQL: one a claim.
#pragma once

#include "tables/live_table.hpp"

namespace fairq::tables {

// Writes the lease of a claim. False: job_leases carries what this would bypass; the caller uses SQL.
bool insert_lease(Oid schema, const ClaimStamp &stamp, const std::vector<int64> &jobs);

// Ends the lease if it is one of so many jobs. False: it may have to be ended by SQL, because job_leases
// carries what this would bypass, or the active snapshot does not show the row as it is.
bool end_lease(Oid schema, int64 lock_token, int64 jobs);

} // namespace fairq::tables
