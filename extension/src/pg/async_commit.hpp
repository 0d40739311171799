// Transactions whose loss in a crash does no harm need not wait until their WAL has reached the disk (or a
// standby). This tells such transactions from all others by the WAL that they wrote, and commits them as
// synchronous_commit = off does.
#pragma once

#include "pg/boundary.hpp"

namespace fairq::pg::async_commit {

void install_callbacks(); // by _PG_init

// Whether this transaction has written nothing yet, or only what may be lost.
bool wrote_only_losable();
// Says that all the transaction has written up to here may be lost.
void may_be_lost();

} // namespace fairq::pg::async_commit
