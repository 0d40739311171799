// Looks a name up, locks the relation and looks again (see open_relation.hpp), as RangeVarGetRelidExtended() does.
#include "tables/open_relation.hpp"

#include "tables/live_columns.hpp"

namespace fairq::tables {

Oid lock_relation(Oid schema, const char *name, LOCKMODE mode) {
    for (;;) {
        std::uint64_t const news = SharedInvalidMessageCounter;
        Oid const found = relation_in(schema, name);
        pg::call([&] { LockRelationOid(found, mode); });
        if (news == SharedInvalidMessageCounter || relation_in(schema, name) == found)
            return found;
        pg::call([&] { UnlockRelationOid(found, mode); });
    }
}

Relation open_table(Oid schema, const char *name, LOCKMODE mode) {
    Oid const table = lock_relation(schema, name, mode);
    return pg::call([&] { return table_open(table, NoLock); });
}

Relation open_index(Oid schema, const char *name, LOCKMODE mode) {
    Oid const index = lock_relation(schema, name, mode);
    return pg::call([&] { return index_open(index, NoLock); });
}

pg::IndexedTable open_for_scan(Oid schema, const char *table, const char *index) {
    return {open_table(schema, table, AccessShareLock), open_index(schema, index, AccessShareLock)};
}

} // namespace fairq::tables
