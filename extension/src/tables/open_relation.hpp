// Relations of the extension, opened by their names: nothing else in this room opens one.
#pragma once

#include "pg/index_scan.hpp"

namespace fairq::tables {

// Raise when there is no such relation.
Relation open_table(Oid schema, const char *name, LOCKMODE mode);
Relation open_index(Oid schema, const char *name, LOCKMODE mode);
// For an IndexScan.
pg::IndexedTable open_for_scan(Oid schema, const char *table, const char *index);

} // namespace fairq::tables
