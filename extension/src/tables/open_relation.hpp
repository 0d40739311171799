// Our relations, opened by their names. Between the look at a name and the lock on what it means, an index may
// be made anew (REINDEX CONCURRENTLY, DROP and CREATE), or the extension: so the name is looked at again under
// the lock. Nobody else in extension/ opens a relation that he has not locked.
#pragma once

#include "pg/boundary.hpp"

namespace fairq::tables {

// Locks what the name means then, and returns its oid.
Oid lock_relation(Oid schema, const char *name, LOCKMODE mode);
Relation open_table(Oid schema, const char *name, LOCKMODE mode);
Relation open_index(Oid schema, const char *name, LOCKMODE mode);

} // namespace fairq::tables
