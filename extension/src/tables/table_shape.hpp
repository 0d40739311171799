// Whether a table still is as the script made it. Only then is writing its rows below SQL all that a statement
// would do; else the statement itself is run. Indexes need no comparison: what is written below SQL gets its
// entries in all of them.
#pragma once

#include "pg/values.hpp"

namespace fairq::tables {

constexpr Oid kJobStatus = InvalidOid; // as the type of a column: the extension's own

struct ShapeColumn {
    const char *name;
    Oid type;
    bool not_null = false;
    const char *default_value = nullptr;
    char identity = '\0'; // pg_attribute.attidentity
};

// A table without triggers, rules, row security and generated columns, which has these columns and CHECKs.
struct TableShape {
    char kind; // pg_class.relkind
    const ShapeColumn *columns;
    int column_count;
    const char *const *checks; // as the server prints them, with `@` for the schema
    int check_count;
    bool insert_only; // else no publication may refuse an UPDATE or a DELETE either
};

// Remembered until the table changes.
bool is_as_made(Relation table, const TableShape &expected);

} // namespace fairq::tables
