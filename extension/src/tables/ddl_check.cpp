// Refusing DDL (see ddl_check.hpp). A dump has the rows of a table of the extension, but not its definition: so a restore would
// lose all rows of a table that has one more column. It has the indexes of partitions as parts of one of their parent, which
// nobody would have made.
#include "tables/ddl_check.hpp"

#include "pg/errors.hpp"

namespace fairq::tables {

namespace {

enum class Refused { nothing, column, index, schema };

struct Finding {
    Refused what = Refused::nothing;
    const char *table = "";
};

// Runs inside call(), as all that follows.
bool is_ours(Oid relation) {
    return OidIsValid(relation) &&
           getExtensionOfObject(RelationRelationId, relation) == get_extension_oid("fairq", true);
}

bool is_partitioned(Oid relation) {
    return get_rel_relkind(relation) == RELKIND_PARTITIONED_TABLE;
}

// The table, if it is one of ours; other sessions may rename it meanwhile, but that breaks more than dumps.
Oid our_table(RangeVar *name) {
    Oid const relation = RangeVarGetRelid(name, NoLock, true);
    return is_ours(relation) ? relation : InvalidOid;
}

bool makes_index(const AlterTableCmd *command) {
    if (command->subtype != AT_AddConstraint || !IsA(command->def, Constraint))
        return false;
    ConstrType const type = castNode(Constraint, command->def)->contype;
    return type == CONSTR_PRIMARY || type == CONSTR_UNIQUE || type == CONSTR_EXCLUSION;
}

Finding look_at(const AlterTableStmt *statement) {
    Oid const table = our_table(statement->relation);
    for (int i = 0; OidIsValid(table) && i < list_length(statement->cmds); ++i) {
        auto const *const command = static_cast<AlterTableCmd const *>(list_nth(statement->cmds, i));
        if (command->subtype == AT_AddColumn)
            return {Refused::column, statement->relation->relname};
        if (is_partitioned(table) && makes_index(command))
            return {Refused::index, statement->relation->relname};
    }
    return {};
}

Finding look_at(const IndexStmt *statement) {
    Oid const table = our_table(statement->relation);
    return OidIsValid(table) && is_partitioned(table) ? Finding{Refused::index, statement->relation->relname}
                                                      : Finding{};
}

Finding look_at(const RenameStmt *statement, Oid schema) {
    bool const ours =
        statement->renameType == OBJECT_SCHEMA && get_namespace_oid(statement->subname, true) == schema;
    return ours ? Finding{Refused::schema, statement->subname} : Finding{};
}

Finding look_at(Node *statement, Oid schema) {
    switch (nodeTag(statement)) {
    case T_AlterTableStmt:
        return look_at(castNode(AlterTableStmt, statement));
    case T_IndexStmt:
        return look_at(castNode(IndexStmt, statement));
    case T_RenameStmt:
        return look_at(castNode(RenameStmt, statement), schema);
    default:
        return {};
    }
}

} // namespace

void check_ddl(FunctionCallInfo call_info, Oid schema) {
    if (creating_extension) // a script of the extension, or of another one, knows what it does
        return;
    Finding const found = pg::call([&] {
        if (!CALLED_AS_EVENT_TRIGGER(call_info))
            elog(ERROR, "fairq_check_ddl was not called by an event trigger");
        return look_at(reinterpret_cast<EventTriggerData *>(call_info->context)->parsetree, schema);
    });
    std::string const table = std::string("\"") + found.table + "\"";
    switch (found.what) {
    case Refused::column:
        pg::raise_refused_ddl(
            "cannot add a column to table " + table + " of fairq",
            "A restored dump would have none of its rows. Put the value into the job's payload, or into a "
            "table of your own with the job's id.");
    case Refused::index:
        pg::raise_refused_ddl(
            "cannot make an index on " + table + " of fairq as a whole",
            "A dump could not be restored. Make it on each partition; new ones get the indexes of "
            "job_history_default.");
    case Refused::schema:
        pg::raise_refused_ddl(
            "cannot rename schema " + table + ", which has fairq in it",
            "The functions of fairq would not find their tables. Move what else is in the schema to another "
            "one (ALTER … SET SCHEMA).");
    case Refused::nothing:
        break;
    }
}

} // namespace fairq::tables
