// Who has a row just now: a look that takes no lock.
#pragma once

#include "pg/boundary.hpp"

namespace fairq::tables {

// Whether another transaction in progress has this version, or we have changed it: a look at the header,
// which saves a claim most of the tries to lock what another one is taking just now. What it does not see,
// the lock does. A row that we have only locked is free (promoted and reclaimed ones carry our own lock), and
// so is one whose key somebody shares.
bool held_by_somebody(TupleTableSlot *slot);

// The same of an unfinished job, as the active snapshot sees it: the process id of who has it, 0 when no
// process of this server does (a prepared transaction, a standby); none when nobody has it.
std::optional<int> holder_of_job(Oid schema, int64 job_id);

} // namespace fairq::tables
