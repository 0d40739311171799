// A claim's row in job_leases, written and deleted below SQL.
#pragma once

#include "tables/live_table.hpp"

namespace fairq::tables {

// False, and nothing was written: job_leases is not as the script made it. The caller uses SQL.
bool insert_lease(Oid schema, const ClaimStamp &stamp, const std::vector<int64> &jobs);

// Deletes the lease if `jobs` jobs were claimed under it. False: the caller tries it by SQL, because job_leases is
// not as the script made it, or because a transaction has locked or changed the row since the active snapshot.
bool end_lease(Oid schema, int64 lock_token, int64 jobs);

} // namespace fairq::tables
