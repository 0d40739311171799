// A transaction that has done nothing but claim need not wait for its WAL to reach the disk (or a standby):
// lost in a crash, its jobs are queued again, as if it had never been. This tells such transactions from all
// others, by the WAL that they wrote, and commits them as synchronous_commit = off does.
#pragma once

#include "pg/boundary.hpp"

namespace fairq::pg::async_commit {

void install_callbacks(); // by _PG_init

// Before a claim: has this transaction written nothing yet, or nothing but claims that may be lost?
bool wrote_only_claims();
// After one: what the transaction has written up to here may be lost.
void may_be_lost();

} // namespace fairq::pg::async_commit
