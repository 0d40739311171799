// Relations of the extension, opened by their names. Between the look at a name and the lock on what it means, an
// index may be made anew (REINDEX CONCURRENTLY, DROP and CREATE), or the extension: so the name is looked at again
// under the lock. No other code of the extension opens a relation that it has not locked already.
#pragma once

#include "pg/index_scan.hpp"

namespace fairq::tables {

// Locks what the name means then, and returns its oid.
Oid lock_relation(Oid schema, const char *name, LOCKMODE mode);
Relation open_table(Oid schema, const char *name, LOCKMODE mode);
Relation open_index(Oid schema, const char *name, LOCKMODE mode);
// For an IndexScan. The table first: that is the order in which DDL locks them.
pg::IndexedTable open_for_scan(Oid schema, const char *table, const char *index);

} // namespace fairq::tables
