// Which transaction holds a row at this moment, found out without taking a lock.
#pragma once

#include "pg/boundary.hpp"

namespace fairq::tables {

// Whether another transaction in progress has locked or changed this version, or this transaction has changed
// it. It reads only the row's header, which saves a claim most attempts to lock rows that another claim is taking.
// False does not mean free: with several lockers in a multixact only an attempt to lock the row decides. A row that
// this transaction has only locked is not held (a claim has locked the jobs that it promoted and reclaimed), nor is a
// row that other transactions only reference (FOR KEY SHARE).
bool is_held(TupleTableSlot *slot);

// The process whose transaction holds an unfinished job, as the active snapshot sees it; 0 when it is no process
// of this server (a prepared transaction, a standby); none when the job is not held.
std::optional<int> holder_of_job(Oid schema, int64 job_id);

} // namespace fairq::tables
