// Statements: SQL texts with bound parameters, prepared once per backend. In a text, `@` stands for the
// extension's schema ("FROM @some_table"). The plan of a pinned statement is generic and made once. It contains no
// sequential scan, hash or merge join where an index serves, so that an ANALYZE of an empty table cannot make the
// planner choose a plan that is slow when the table is full.
#pragma once

#include "pg/errors.hpp"
#include "pg/values.hpp"

namespace fairq::pg {

constexpr int kMaxParameters = 16;
constexpr int kOnlyColumn = 1; // of a statement that returns one

// pinned: by indexes, for the hot path. open: the planner decides, for statements that read whole tables. by_values: by
// indexes, planned anew for the values of each call, so that a partition that cannot have a row is neither opened nor locked
// (a plan that is kept locks all partitions).
enum class Plan { pinned, open, by_values };

// A text, the types of its parameters, and the plan that this process has made of it. It stands at the top of the
// file of the verb that runs it. Constant-initialised: no constructor runs when the library is loaded.
struct Statement {
    constexpr Statement(Plan how, const char *sql, std::initializer_list<Oid> parameter_types = {})
        : plan(how), text(sql) {
        for (Oid const type : parameter_types)
            types[parameters++] = type;
    }

    Plan plan;
    const char *text;
    int parameters = 0;
    Oid types[kMaxParameters] = {};
    mutable SPIPlanPtr prepared = nullptr;
    mutable const Statement *next_prepared = nullptr; // of this process
};

// The rows of the last statement; valid until the next one or the end of with_spi(). To read a row or a
// column that is not there, or a text or array that is NULL, is an error.
class Rows {
public:
    Rows(const Statement &statement, SPITupleTable *table, uint64 processed)
        : statement_(&statement), table_(table), processed_(processed) {}
    // The number of rows returned; of a statement that returns no rows, the number of rows changed.
    size_t size() const { return processed_; }
    bool empty() const { return processed_ == 0; }
    bool is_null(size_t row, int column) const;
    Datum datum(size_t row, int column) const; // 0 for NULL
    Datum reference(size_t row, int column) const;
    int64 int64_at(size_t row, int column) const { return DatumGetInt64(datum(row, column)); }
    int32 int32_at(size_t row, int column) const { return DatumGetInt32(datum(row, column)); }
    bool bool_at(size_t row, int column) const { return DatumGetBool(datum(row, column)); }
    TimestampTz time_at(size_t row, int column) const { return DatumGetTimestampTz(datum(row, column)); }
    // Appends the row's first columns to a function's result: as many columns as the result has.
    void put(size_t row, ReturnSetInfo *result) const;
    // text[], none for NULL
    std::vector<std::string> texts_at(size_t row, int column) const {
        if (is_null(row, column))
            return {};
        std::vector<std::string_view> const texts = texts_of(datum(row, column));
        return {texts.begin(), texts.end()};
    }
    std::vector<int64> int64s_at(size_t row, int column) const { return int64s_of(reference(row, column)); }
    std::string text_at(size_t row, int column) const { return std::string(text_of(reference(row, column))); }

private:
    HeapTuple at(size_t row, int column) const; // or raises

    const Statement *statement_;
    SPITupleTable *table_; // none of a statement that returns no rows
    uint64 processed_;
};

void install_planner_hook(); // by _PG_init

// Which schema `@` stands for from now on in this backend: that of the SQL function being called.
void use_schema(Oid schema);
Oid schema();
std::string quoted_schema();
std::string in_schema(const char *text); // with it for every `@`

// Runs body between SPI_connect and SPI_finish. On an error the transaction's abort finishes.
template <class F>
auto with_spi(F &&body) -> decltype(body()) {
    call([] { SPI_connect(); });
    if constexpr (std::is_void_v<decltype(body())>) {
        body();
        call([] { SPI_finish(); });
    } else {
        auto result = body();
        call([] { SPI_finish(); });
        return result;
    }
}

// The same for the body of a procedure, which may commit_and_chain(). Raises 25001 inside a transaction
// block.
bool may_commit(FunctionCallInfo fcinfo);
template <class F>
void with_committing_spi(FunctionCallInfo fcinfo, F &&body) {
    if (!may_commit(fcinfo))
        raise_in_transaction();
    call([] { SPI_connect_ext(SPI_OPT_NONATOMIC); });
    body();
    call([] { SPI_finish(); });
}
void commit_and_chain(); // commits, and begins a new transaction without a snapshot

// Inside with_spi(): runs a statement with a fresh snapshot.
Rows execute(const Statement &statement, std::initializer_list<Value> values = {});
// The same for a statement that has to change `rows` rows of the table. Raises JQ011 when it changed fewer: a user's
// trigger or rule has swallowed a row, and the caller must not report it as written.
void execute_all(const Statement &statement, const char *table, uint64 rows,
                 std::initializer_list<Value> values);
// For two statements, the second of which looks for the row that the first one conflicted with: another transaction
// may have deleted that row in between. attempt() returns an empty optional to be called again. If it never succeeds,
// a trigger or a rule swallows the row: JQ011.
template <class Attempt>
auto until_it_holds(const char *table, Attempt &&attempt) {
    constexpr int kMostAttempts = 100;
    for (int i = 0; i < kMostAttempts; ++i) {
        check_interrupts();
        if (auto result = attempt())
            return *std::move(result);
    }
    raise_row_swallowed(table);
}
// As execute(), but the query sees what the active snapshot sees.
Rows read_as_of_snapshot(const Statement &statement, std::initializer_list<Value> values = {});
// The same for a text that was made for this one call, with one parameter: its rows become the result of a
// function, however many there are. The planner decides.
void stream_as_of_snapshot(const std::string &text, Oid type, const Value &value, ReturnSetInfo *result);

} // namespace fairq::pg
