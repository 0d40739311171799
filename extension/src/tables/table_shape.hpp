// Whether a table still is as the script made it. Only then do rows written below SQL have all the effects that a
// statement would have; otherwise the caller runs the statement. Indexes need no comparison, because a row that is
// written below SQL gets its entries in all of them.
#pragma once

#include "pg/values.hpp"

namespace fairq::tables {

constexpr Oid kJobStatus = InvalidOid; // as the type of a column: the extension's enum job_status

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
    bool insert_only; // false: rows are changed too, so no publication may refuse an UPDATE or a DELETE
    const char *const *indexes = nullptr; // their names, for takes_every_row()
    int index_count = 0;
};

// Remembered until the table changes.
bool is_as_made(Relation table, const TableShape &expected);
// Whether there is besides no index but the script's: what is not its own may refuse a row, by an error. Remembered, too.
bool takes_every_row(Relation table, const TableShape &expected);

} // namespace fairq::tables
