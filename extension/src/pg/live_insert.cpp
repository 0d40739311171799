// New rows of job_live (see live_insert.hpp).
#include "pg/live_table.hpp"

#include "pg/live_insert.hpp"

namespace fairq::pg {

namespace {

constexpr int kOurChecks = 9;
constexpr int kOurNotNulls = 12;

// Whether rows as ours meet all that an INSERT would check.
bool takes_our_rows(Relation table) {
    TupleDesc const row = RelationGetDescr(table);
    int not_null = 0;
    for (int i = 0; i < row->natts; ++i)
        not_null += TupleDescAttr(row, i)->attnotnull ? 1 : 0;
    return fires_nothing(table) && row->natts == kColumns && row->constr->num_check == kOurChecks &&
           not_null == kOurNotNulls;
}

} // namespace

Elements::Elements(const Value &array, Oid type) {
    if (array.null)
        return;
    call([&] {
        int count = 0;
        deconstruct_array(DatumGetArrayTypeP(array.datum), type, -1, false, TYPALIGN_INT, &values_, &nulls_,
                          &count);
    });
}

LiveInsert::LiveInsert(Oid schema, const NewRows &common)
    : common_(common), status_(status_datum(schema, common.status)), type_(of(common.type).datum),
      empty_(of_jsonb("{}").datum) {
    Oid const table = live_table_oid(schema);
    table_ = call([&] { return table_open(table, RowExclusiveLock); });
    possible_ = takes_our_rows(table_);
    if (possible_)
        batch_.emplace(table_, call([] { return GetCurrentCommandId(true); }));
}

void LiveInsert::add(const NewRow &row) {
    TupleTableSlot *const slot = batch_->row();
    auto const set = [slot](Column column, const Value &value) {
        slot->tts_values[column - 1] = value.datum;
        slot->tts_isnull[column - 1] = value.null;
    };
    set(kId, of(row.id));
    set(kTenant, row.tenant);
    set(kType, of_datum(type_));
    set(kStatus, of_datum(status_));
    set(kPriority, of_datum(Int16GetDatum(static_cast<int16>(common_.priority))));
    set(kPayload, row.payload.null ? of_datum(empty_) : row.payload);
    set(kRunAt, of_time(common_.run_at));
    set(kAttempts, of(int32{0}));
    set(kMaxAttempts, of(common_.max_attempts));
    set(kTimeout, of_datum(IntervalPGetDatum(&common_.timeout)));
    set(kKey, row.key);
    set(kConcurrencyKey, row.concurrency_key);
    set(kRunId, of(common_.run));
    set(kStage, of(common_.stage));
    set(kCreatedAt, of_time(common_.now));
    set(kUpdatedAt, of_time(common_.now));
    set(kPosition, common_.in_lane ? of(row.id) : Value{});
    set(kDueAt, common_.due ? of_time(common_.run_at) : Value{});
    batch_->add();
}

void LiveInsert::finish() {
    batch_->finish();
    call([] { CommandCounterIncrement(); });
}

void LiveInsert::close() {
    call([&] { table_close(table_, NoLock); });
}

} // namespace fairq::pg
