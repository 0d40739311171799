// Relations of the extension, opened by their names. Between the lookup of a name and the lock on the relation,
// another session may replace the index (REINDEX CONCURRENTLY, DROP and CREATE) or the whole extension: so the name
// is looked up again under the lock. No other code of the extension opens a relation that it has not locked already.
#pragma once

#include "pg/index_scan.hpp"

namespace fairq::tables {

// Locks the relation that has the name once the lock is held, and returns its oid.
Oid lock_relation(Oid schema, const char *name, LOCKMODE mode);
Relation open_table(Oid schema, const char *name, LOCKMODE mode);
Relation open_index(Oid schema, const char *name, LOCKMODE mode);
// For an IndexScan. The table first: that is the order in which DDL locks them.
pg::IndexedTable open_for_scan(Oid schema, const char *table, const char *index);

} // namespace fairq::tables
