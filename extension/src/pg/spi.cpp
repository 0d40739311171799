// Prepared statements, whose plans do not change with the tables' statistics (see spi.hpp).
#include "pg/spi.hpp"

#include "pg/errors.hpp"
#include "pg/transaction.hpp"

namespace fairq::pg {

namespace {

// Plain data: no constructor may run when the library is loaded.
const Statement *prepared_statements = nullptr;
Oid current_schema = InvalidOid;
Oid planned_schema = InvalidOid;

constexpr double kAssumedRows = 1e6, kAssumedPages = 5e4, kAssumedIndexPages = 5e3;
bool assume_large = false;
get_relation_info_hook_type previous_relation_info = nullptr;

// Tells the planner of a pinned statement that every table is large: a plan that is made while the queue is empty
// has to serve the full queue too.
void relation_info(PlannerInfo *root, Oid table, bool inheritance_parent, RelOptInfo *rel) {
    if (previous_relation_info)
        previous_relation_info(root, table, inheritance_parent, rel);
    if (!assume_large)
        return;
    rel->tuples = std::max(rel->tuples, kAssumedRows);
    rel->pages = std::max(rel->pages, static_cast<BlockNumber>(kAssumedPages));
    for (int i = 0; i < list_length(rel->indexlist); ++i) {
        auto *const index = static_cast<IndexOptInfo *>(list_nth(rel->indexlist, i));
        index->tuples = std::max(index->tuples, kAssumedRows);
        index->pages = std::max(index->pages, static_cast<BlockNumber>(kAssumedIndexPages));
    }
}

// Keeps the planner from choosing, because a table is empty, a plan that would be too slow for a million rows. Where
// nothing but a sequential scan is possible the planner still chooses it; jit is off, because the enormous cost of such
// a plan would have it compiled. A bitmap scan never marks index entries as dead, so each scan would pass over all dead
// entries until a vacuum.
class PlannerPins {
public:
    explicit PlannerPins(Plan plan)
        : saved_{enable_seqscan, enable_hashjoin, enable_mergejoin, jit_enabled, enable_bitmapscan} {
        assume_large = plan != Plan::open;
        if (assume_large)
            enable_seqscan = enable_hashjoin = enable_mergejoin = jit_enabled = enable_bitmapscan = false;
    }
    ~PlannerPins() {
        assume_large = false;
        enable_seqscan = saved_[0];
        enable_hashjoin = saved_[1];
        enable_mergejoin = saved_[2];
        jit_enabled = saved_[3];
        enable_bitmapscan = saved_[4];
    }
    PlannerPins(const PlannerPins &) = delete;
    PlannerPins &operator=(const PlannerPins &) = delete;

private:
    bool saved_[5];
};

void forget_plan(const Statement &statement) {
    const Statement **link = &prepared_statements;
    while (*link != &statement)
        link = &(*link)->next_prepared;
    *link = statement.next_prepared;
    call([&] { SPI_freeplan(std::exchange(statement.prepared, nullptr)); });
}

SPIPlanPtr prepare(const Statement &statement) {
    std::string const text = in_schema(statement.text);
    return call([&] {
        SPIPlanPtr const plan = SPI_prepare_cursor(
            text.c_str(), statement.parameters, const_cast<Oid *>(statement.types),
            statement.plan == Plan::by_values ? CURSOR_OPT_CUSTOM_PLAN : CURSOR_OPT_GENERIC_PLAN);
        if (plan == nullptr)
            elog(ERROR, "could not prepare \"%s\": %s", statement.text, SPI_result_code_string(SPI_result));
        SPI_keepplan(plan);
        return plan;
    });
}

SPIPlanPtr plan_of(const Statement &statement) {
    if (planned_schema != current_schema) {
        while (prepared_statements != nullptr)
            forget_plan(*prepared_statements);
        planned_schema = current_schema;
    }
    if (statement.prepared == nullptr) {
        statement.prepared = prepare(statement);
        statement.next_prepared = prepared_statements;
        prepared_statements = &statement;
    }
    return statement.prepared;
}

Rows run(const Statement &statement, Datum *values, const char *nulls, bool read_only) {
    with_own_names([&] {
        SPIPlanPtr const plan = plan_of(statement);
        PlannerPins const pins(statement.plan);
        int const result = call([&] { return SPI_execute_plan(plan, values, nulls, read_only, 0); });
        if (result < 0)
            call([&] {
                elog(ERROR, "could not run \"%s\": %s", statement.text, SPI_result_code_string(result));
            });
        // A rule has replaced the statement by nothing. Such a plan depends on no table, so the server would not
        // invalidate it when the rule is dropped.
        if (result == SPI_OK_REWRITTEN)
            forget_plan(statement);
    });
    return Rows(statement, SPI_tuptable, SPI_processed);
}

Rows bind_and_run(const Statement &statement, std::initializer_list<Value> values, bool read_only) {
    Assert(static_cast<int>(values.size()) == statement.parameters);
    Datum datums[kMaxParameters];
    char nulls[kMaxParameters];
    size_t i = 0;
    for (Value const &value : values) {
        datums[i] = value.datum;
        nulls[i++] = value.null ? 'n' : ' ';
    }
    return run(statement, datums, nulls, read_only);
}

} // namespace

HeapTuple Rows::at(size_t row, int column) const {
    size_t const rows = table_ == nullptr ? 0 : table_->numvals;
    if (row >= rows || column < 1 || column > table_->tupdesc->natts)
        raise_no_value(statement_->text, rows, row, column);
    return table_->vals[row];
}

bool Rows::is_null(size_t row, int column) const {
    bool null = false;
    SPI_getbinval(at(row, column), table_->tupdesc, column, &null);
    return null;
}

Datum Rows::datum(size_t row, int column) const {
    bool null = false;
    return SPI_getbinval(at(row, column), table_->tupdesc, column, &null);
}

Datum Rows::reference(size_t row, int column) const {
    bool null = false;
    Datum const value = SPI_getbinval(at(row, column), table_->tupdesc, column, &null);
    if (null)
        raise_no_value(statement_->text, table_->numvals, row, column);
    return value;
}

void Rows::put(size_t row, ReturnSetInfo *result) const {
    HeapTuple const tuple = at(row, 1);
    call([&] {
        int const columns = table_->tupdesc->natts;
        auto *values = static_cast<Datum *>(palloc(sizeof(Datum) * static_cast<size_t>(columns)));
        auto *nulls = static_cast<bool *>(palloc(sizeof(bool) * static_cast<size_t>(columns)));
        heap_deform_tuple(tuple, table_->tupdesc, values, nulls);
        tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
    });
}

bool may_commit(FunctionCallInfo fcinfo) {
    return fcinfo->context && IsA(fcinfo->context, CallContext) &&
           !castNode(CallContext, fcinfo->context)->atomic;
}

void commit_and_chain() {
    call([] { SPI_commit(); });
}

void install_planner_hook() {
    previous_relation_info = get_relation_info_hook;
    get_relation_info_hook = relation_info;
}

void use_schema(Oid schema) {
    current_schema = schema;
}
Oid schema() {
    return current_schema;
}

std::string quoted_schema() {
    const char *const name = call([] {
        char *const raw = get_namespace_name(current_schema);
        return raw ? quote_identifier(raw) : nullptr;
    });
    if (name == nullptr)
        raise_not_installed();
    return name;
}

std::string in_schema(const char *text) {
    std::string result;
    std::string const prefix = quoted_schema() + ".";
    for (const char *c = text; *c; ++c)
        *c == '@' ? result += prefix : result += *c;
    return result;
}

Rows execute(const Statement &statement, std::initializer_list<Value> values) {
    return bind_and_run(statement, values, false);
}

void execute_all(const Statement &statement, const char *table, uint64 rows,
                 std::initializer_list<Value> values) {
    if (execute(statement, values).size() != rows)
        raise_row_swallowed(table);
}

Rows read_as_of_snapshot(const Statement &statement, std::initializer_list<Value> values) {
    return bind_and_run(statement, values, true);
}

// Runs inside call().
static void stream(const char *text, Oid type, const Value &value, ReturnSetInfo *result) {
    SPIPlanPtr const plan = SPI_prepare(text, 1, &type);
    if (plan == nullptr)
        elog(ERROR, "could not prepare a query: %s", SPI_result_code_string(SPI_result));
    SPIExecuteOptions options{};
    options.params = makeParamList(1);
    options.params->params[0] = {value.datum, value.null, PARAM_FLAG_CONST, type};
    options.read_only = true;
    options.dest = CreateDestReceiver(DestTuplestore);
    SetTuplestoreDestReceiverParams(options.dest, result->setResult, result->econtext->ecxt_per_query_memory,
                                    false, nullptr, nullptr);
    int const code = SPI_execute_plan_extended(plan, &options);
    if (code < 0)
        elog(ERROR, "could not run a query: %s", SPI_result_code_string(code));
    options.dest->rDestroy(options.dest);
}

void stream_as_of_snapshot(const std::string &text, Oid type, const Value &value, ReturnSetInfo *result) {
    with_own_names([&] { call([&] { stream(text.c_str(), type, value, result); }); });
}

} // namespace fairq::pg
