// Charging rates (see rates.hpp).
#include "tables/rates.hpp"

#include "pg/batch_insert.hpp"
#include "tables/live_columns.hpp"
#include "tables/open_relation.hpp"

namespace fairq::tables {

namespace {

constexpr Oid kTypes[] = {TEXTOID, TEXTOID, TIMESTAMPTZOID};
constexpr int kOurChecks = 1;

// Whether the table is as our script made it, with nothing on it that only the executor would do.
bool is_plain(Relation table) {
    TupleDesc const row = RelationGetDescr(table);
    if (!pg::fires_nothing(table) || row->natts != kRateColumns || row->constr == nullptr ||
        row->constr->num_check != kOurChecks)
        return false;
    for (int i = 0; i < kRateColumns; ++i)
        if (TupleDescAttr(row, i)->atttypid != kTypes[i])
            return false;
    return true;
}

// Use: construct; if possible(), set each; close. After an error the transaction's abort releases what it
// holds.
class RateRows {
public:
    explicit RateRows(Oid schema) : side_(pg::of(std::string_view("claim")).datum) {
        table_ = open_table(schema, "tenant_rates", RowExclusiveLock);
        possible_ = is_plain(table_);
        if (!possible_)
            return;
        index_ = open_index(schema, "tenant_rates_pkey", RowExclusiveLock);
        pg::call([&] { begin(); });
    }

    bool possible() const { return possible_; }

    // False when there is no row, or somebody has changed it since our snapshot.
    bool set(const Charge &charge) {
        Datum const tenant = pg::of(charge.tenant).datum;
        return pg::call([&] {
            ScanKeyData keys[kRateSide];
            tenant_key(&keys[0], BTEqualStrategyNumber, F_TEXTEQ, tenant);
            ScanKeyEntryInitialize(&keys[1], 0, kRateSide, BTEqualStrategyNumber, InvalidOid, C_COLLATION_OID,
                                   F_TEXTEQ, side_);
            index_rescan(scan_, keys, kRateSide, nullptr, 0);
            return index_getnext_slot(scan_, ForwardScanDirection, seen_) && update(charge.due_at);
        });
    }

    void close() {
        pg::call([&] {
            if (possible_)
                end();
            table_close(table_, NoLock);
        });
    }

private:
    // What follows runs inside call().
    void begin() {
        PushActiveSnapshot(GetLatestSnapshot());
        snapshot_ = GetActiveSnapshot();
        scan_ = pg::compat::index_beginscan(table_, index_, snapshot_, kRateSide);
        seen_ = table_slot_create(table_, nullptr);
        changed_ = MakeSingleTupleTableSlot(RelationGetDescr(table_), &TTSOpsVirtual);
    }

    void end() {
        index_endscan(scan_);
        ExecDropSingleTupleTableSlot(seen_);
        ExecDropSingleTupleTableSlot(changed_);
        index_close(index_, NoLock);
        PopActiveSnapshot();
        CommandCounterIncrement();
    }

    // Waits for who has the row, as the statement would.
    bool update(TimestampTz due_at) {
        slot_getallattrs(seen_);
        ExecClearTuple(changed_);
        memcpy(changed_->tts_values, seen_->tts_values, sizeof(Datum) * kRateColumns);
        memcpy(changed_->tts_isnull, seen_->tts_isnull, sizeof(bool) * kRateColumns);
        changed_->tts_values[kRateDueAt - 1] = TimestampTzGetDatum(due_at);
        ExecStoreVirtualTuple(changed_);
        pg::compat::TU_UpdateIndexes indexes = pg::compat::TU_None;
        if (pg::compat::table_tuple_update(table_, &seen_->tts_tid, changed_, snapshot_, true, &indexes) !=
            TM_Ok)
            return false;
        if (indexes != pg::compat::TU_None)
            add_index_entries(indexes == pg::compat::TU_Summarizing);
        return true;
    }

    // Seldom: the page had no room for the new version.
    void add_index_entries(bool only_summarizing) {
        EState *const executor = CreateExecutorState();
        ResultRelInfo *const indexes = makeNode(ResultRelInfo);
        InitResultRelInfo(indexes, table_, 0, nullptr, 0);
        ExecOpenIndices(indexes, false);
        pg::compat::insert_index_entries(indexes, changed_, executor, true, only_summarizing);
        ExecCloseIndices(indexes);
        FreeExecutorState(executor);
    }

    Datum side_;
    Relation table_, index_;
    bool possible_;
    Snapshot snapshot_;
    IndexScanDesc scan_;
    TupleTableSlot *seen_, *changed_;
};

} // namespace

std::vector<Charge> charge_claims(Oid schema, const std::vector<Charge> &charges) {
    RateRows rows(schema);
    std::vector<Charge> left;
    for (Charge const &charge : charges) {
        pg::check_interrupts();
        if (!rows.possible() || !rows.set(charge))
            left.push_back(charge);
    }
    rows.close();
    return left;
}

} // namespace fairq::tables
