// The partitions of job_history.
#pragma once

#include "pg/boundary.hpp"

namespace fairq::tables {

// The partition that takes rows of this moment; InvalidOid when there is none. Inside call().
Oid partition_at(Relation history, TimestampTz moment);
bool history_takes(Oid schema, TimestampTz moment); // whether there is one
// Whether there is one besides the default partition, which is empty. It never waits: a relation that another session has
// locked in exclusive mode is taken as ready.
bool history_is_ready(Oid schema, TimestampTz moment);

} // namespace fairq::tables
