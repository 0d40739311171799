// Opening by name (see open_relation.hpp).
#include "tables/open_relation.hpp"

#include "tables/live_columns.hpp"

namespace fairq::tables {

Relation open_table(Oid schema, const char *name, LOCKMODE mode) {
    Oid const table = relation_in(schema, name);
    return pg::call([&] { return table_open(table, mode); });
}

Relation open_index(Oid schema, const char *name, LOCKMODE mode) {
    Oid const index = relation_in(schema, name);
    return pg::call([&] { return index_open(index, mode); });
}

// The table first: that is the order in which DDL locks them.
pg::IndexedTable open_for_scan(Oid schema, const char *table, const char *index) {
    return {open_table(schema, table, AccessShareLock), open_index(schema, index, AccessShareLock)};
}

} // namespace fairq::tables
