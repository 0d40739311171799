// Comparing tables with what the script made (see table_shape.hpp). All that it compares is in the relation cache,
// except the texts of expressions, which the server prints.
#include "tables/table_shape.hpp"

#include "pg/spi.hpp"
#include "pg/table_cache.hpp"
#include "pg/transaction.hpp"
#include "tables/live_columns.hpp"

namespace fairq::tables {

namespace {

struct Answer {
    Oid table;
    std::uint64_t generation;
    bool as_made, own_indexes;
};
constexpr int kMostAnswers = 8; // job_live, job_leases, job_history, and the partitions of some days

// Plain data: no constructor may run when the library is loaded.
Answer answers[kMostAnswers];
int next_place = 0;

// `@` stands for the schema. The pinned search_path makes the server qualify all names in the text that it prints.
std::string with_schema(std::string_view text) {
    std::string all;
    for (char const c : text)
        c == '@' ? all.append(pg::quoted_schema()).append(".") : all.append(1, c);
    return all;
}

std::string printed(Relation table, char *expression) {
    const char *text = nullptr;
    pg::with_own_names([&] {
        text = pg::call([&] {
            List *const names = deparse_context_for(RelationGetRelationName(table), RelationGetRelid(table));
            return deparse_expression(static_cast<Node *>(stringToNode(expression)), names, false, false);
        });
    });
    return text;
}

std::string default_of(Relation table, AttrNumber column) {
    TupleConstr const *const constraints = RelationGetDescr(table)->constr;
    for (int i = 0; i < constraints->num_defval; ++i)
        if (constraints->defval[i].adnum == column)
            return printed(table, constraints->defval[i].adbin);
    return "";
}

bool has_column(Relation table, AttrNumber number, const ShapeColumn &expected) {
    Form_pg_attribute const column = TupleDescAttr(RelationGetDescr(table), number - 1);
    Oid const type = expected.type == kJobStatus ? status_type(RelationGetNamespace(table)) : expected.type;
    return strcmp(NameStr(column->attname), expected.name) == 0 && column->atttypid == type &&
           column->atttypmod == -1 && column->attnotnull == expected.not_null &&
           column->attidentity == expected.identity && column->attgenerated == '\0' &&
           column->atthasdef == (expected.default_value != nullptr) &&
           (!column->atthasdef || default_of(table, number) == expected.default_value);
}

bool has_columns(Relation table, const TableShape &expected) {
    bool same = RelationGetNumberOfAttributes(table) == expected.column_count;
    for (int i = 0; same && i < expected.column_count; ++i)
        same = has_column(table, static_cast<AttrNumber>(i + 1), expected.columns[i]);
    return same;
}

bool has_checks(Relation table, const TableShape &expected) {
    TupleConstr const *const constraints = RelationGetDescr(table)->constr;
    if ((constraints == nullptr ? 0 : constraints->num_check) != expected.check_count)
        return false;
    std::vector<std::string> found, wanted;
    for (int i = 0; i < expected.check_count; ++i) {
        found.push_back(printed(table, constraints->check[i].ccbin));
        wanted.push_back(with_schema(expected.checks[i]));
    }
    std::sort(found.begin(), found.end());
    std::sort(wanted.begin(), wanted.end());
    return found == wanted;
}

bool fires_nothing(Relation table, const TableShape &expected) {
    return table->rd_rel->relkind == expected.kind && table->trigdesc == nullptr &&
           table->rd_rules == nullptr && !table->rd_rel->relrowsecurity;
}

bool is_stored_alone(Relation table) {
    return table->rd_rel->relkind != RELKIND_RELATION ||
           (table->rd_tableam == GetHeapamTableAmRoutine() && !table->rd_rel->relhassubclass);
}

bool compare(Relation table, const TableShape &expected) {
    return fires_nothing(table, expected) && is_stored_alone(table) && has_columns(table, expected) &&
           has_checks(table, expected) &&
           (expected.insert_only ||
            !pg::call([&] { return pg::compat::publications_refuse_changes(table); }));
}

bool has_own_indexes(Relation table, const TableShape &expected) {
    return pg::call([&] {
        List *const indexes = RelationGetIndexList(table);
        bool own = true;
        ListCell *cell;
        foreach (cell, indexes) {
            const char *const name = get_rel_name(lfirst_oid(cell));
            own = own && name != nullptr &&
                  std::any_of(expected.indexes, expected.indexes + expected.index_count,
                              [&](const char *ours) { return strcmp(ours, name) == 0; });
        }
        list_free(indexes);
        return own;
    });
}

const Answer &answer_for(Relation table, const TableShape &expected) {
    Oid const oid = RelationGetRelid(table);
    std::uint64_t const generation = pg::table_cache::generation(oid);
    Answer *answer =
        std::find_if(answers, answers + kMostAnswers, [&](auto &known) { return known.table == oid; });
    if (answer == answers + kMostAnswers)
        answer = &answers[next_place++ % kMostAnswers];
    else if (answer->generation == generation)
        return *answer;
    *answer = {InvalidOid, 0, false, false}; // so that no answer remains if the comparison raises
    *answer = {oid, generation, compare(table, expected), has_own_indexes(table, expected)};
    return *answer;
}

} // namespace

bool is_as_made(Relation table, const TableShape &expected) {
    return answer_for(table, expected).as_made;
}

bool takes_every_row(Relation table, const TableShape &expected) {
    Answer const &answer = answer_for(table, expected);
    return answer.as_made && answer.own_indexes;
}

} // namespace fairq::tables
