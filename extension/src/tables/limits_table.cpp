// Reading tenant_limits by its indexes (see limits_table.hpp).
#include "tables/limits_table.hpp"

#include "pg/table_cache.hpp"
#include "tables/live_columns.hpp"
#include "tables/open_relation.hpp"

namespace fairq::tables {

namespace {

// The columns of tenant_limits, as sql/fairq.sql orders them.
enum LimitsColumn : AttrNumber {
    kLimitsTenant = 1,
    kWeight,
    kMaxConcurrency,
    kRate,
    kBurst,
    kMaxPending,
    kPaused,
    kEnqueueRate,
    kEnqueueBurst,
    kCapPendingSince
};

// A column of a slot whose columns are all at hand.
template <class T>
std::optional<T> column(TupleTableSlot *slot, LimitsColumn number, T (*convert)(Datum)) {
    return slot->tts_isnull[number - 1] ? std::nullopt
                                        : std::optional<T>(convert(slot->tts_values[number - 1]));
}

int32 to_int32(Datum datum) {
    return DatumGetInt32(datum);
}
int64 to_int64(Datum datum) {
    return DatumGetInt64(datum);
}
double to_double(Datum datum) {
    return DatumGetFloat8(datum);
}

} // namespace

LimitsTable::LimitsTable(Oid schema, const char *index) {
    table_ = open_table(schema, "tenant_limits", AccessShareLock);
    index_ = open_index(schema, index, AccessShareLock);
    pg::table_cache::push_latest_snapshot();
    pg::call([&] {
        slot_ = table_slot_create(table_, nullptr);
        scan_ = pg::compat::index_beginscan(table_, index_, GetActiveSnapshot(), 1);
    });
}

bool LimitsTable::fetch(StrategyNumber strategy, RegProcedure compare, std::string_view tenant) {
    Datum const bound = pg::of(tenant).datum;
    return pg::call([&] {
        ScanKeyData key;
        tenant_key(&key, strategy, compare, bound);
        index_rescan(scan_, &key, 1, nullptr, 0);
        bool const found = index_getnext_slot(scan_, ForwardScanDirection, slot_);
        if (found)
            slot_getallattrs(slot_);
        return found;
    });
}

std::optional<LimitsRow> LimitsTable::find(std::string_view tenant) {
    if (!fetch(BTEqualStrategyNumber, F_TEXTEQ, tenant))
        return std::nullopt;
    return LimitsRow{DatumGetInt32(slot_->tts_values[kWeight - 1]),
                     column(slot_, kMaxConcurrency, to_int32),
                     column(slot_, kRate, to_double),
                     column(slot_, kBurst, to_int32),
                     column(slot_, kMaxPending, to_int64),
                     DatumGetBool(slot_->tts_values[kPaused - 1]),
                     column(slot_, kEnqueueRate, to_double),
                     column(slot_, kEnqueueBurst, to_int32),
                     !slot_->tts_isnull[kCapPendingSince - 1]};
}

bool LimitsTable::any() {
    return fetch(BTGreaterStrategyNumber, F_TEXT_GT, {});
}

// Keeps the locks: the next look in this transaction has them already.
void LimitsTable::finish() {
    pg::call([&] {
        index_endscan(scan_);
        ExecDropSingleTupleTableSlot(slot_);
        index_close(index_, NoLock);
        table_close(table_, NoLock);
    });
    pg::table_cache::pop_snapshot();
}

} // namespace fairq::tables
