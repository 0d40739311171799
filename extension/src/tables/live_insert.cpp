// New rows of job_live (see live_insert.hpp).
#include "tables/live_insert.hpp"

#include "tables/live_table.hpp"
#include "tables/open_relation.hpp"

namespace fairq::tables {

Elements::Elements(const pg::Value &array, Oid type) {
    if (array.null)
        return;
    pg::call([&] {
        int count = 0;
        deconstruct_array(DatumGetArrayTypeP(array.datum), type, -1, false, TYPALIGN_INT, &values_, &nulls_,
                          &count);
    });
}

LiveInsert::LiveInsert(Oid schema, const NewRows &common)
    : common_(common), queue_(pg::of(common.queue).datum), type_(pg::of(common.type).datum),
      empty_(pg::of_jsonb("{}").datum), table_(open_table(schema, "job_live", RowExclusiveLock)),
      status_(status_datum(schema, common.status)) { // looked up under the table's lock
    possible_ = is_as_made(table_, kLiveShape);
    if (possible_)
        batch_.emplace(table_, pg::call([] { return GetCurrentCommandId(true); }));
}

void LiveInsert::add(const NewRow &row) {
    TupleTableSlot *const slot = batch_->row();
    auto const set = [slot](Column column, const pg::Value &value) {
        slot->tts_values[column - 1] = value.datum;
        slot->tts_isnull[column - 1] = value.null;
    };
    set(kId, pg::of(row.id));
    set(kQueue, pg::of_datum(queue_));
    set(kTenant, row.tenant);
    set(kType, pg::of_datum(type_));
    set(kStatus, pg::of_datum(status_));
    set(kPriority, pg::of_datum(Int16GetDatum(static_cast<int16>(common_.priority))));
    set(kPayload, row.payload.null ? pg::of_datum(empty_) : row.payload);
    set(kRunAt, pg::of_time(common_.run_at));
    set(kAttempts, pg::of(int32{0}));
    set(kMaxAttempts, pg::of(common_.max_attempts));
    set(kTimeout, pg::of_datum(IntervalPGetDatum(&common_.timeout)));
    set(kKey, row.key);
    set(kConcurrencyKey, row.concurrency_key);
    set(kRunId, pg::of(common_.run));
    set(kStage, pg::of(common_.stage));
    set(kCreatedAt, pg::of_time(common_.now));
    set(kUpdatedAt, pg::of_time(common_.now));
    set(kPosition, common_.in_lane ? pg::of(row.id) : pg::Value{});
    set(kDueAt, common_.due ? pg::of_time(common_.run_at) : pg::Value{});
    batch_->add();
}

void LiveInsert::finish() {
    batch_->finish();
    pg::call([] { CommandCounterIncrement(); });
}

void LiveInsert::close() {
    pg::call([&] { table_close(table_, NoLock); });
}

} // namespace fairq::tables
