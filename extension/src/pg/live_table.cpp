// Walk and claim on job_live (see live_table.hpp). The order of locks is: table, tuple; never a tenant, never
// a page held across a wait.
#include "pg/live_table.hpp"

#include "pg/live_columns.hpp"

namespace fairq::pg {

namespace {

constexpr int kOurChecks = 8;
constexpr int kOurIndexes = 8;

// Whether a direct update would be all that an UPDATE is.
bool nothing_to_bypass(Relation table) {
    TupleConstr const *const constraints = RelationGetDescr(table)->constr;
    return table->trigdesc == nullptr && table->rd_rules == nullptr && !table->rd_rel->relrowsecurity &&
           RelationGetDescr(table)->natts == kColumns && constraints->num_check == kOurChecks &&
           !constraints->has_generated_stored && call([&] {
               List *const indexes = RelationGetIndexList(table);
               return list_length(indexes) == kOurIndexes;
           });
}

// Whether another transaction in progress has this version, or we have changed it: a look at the header,
// which saves most of the tries to lock what another claim is taking just now. What it does not see, the lock
// does. A row that we have only locked is free (promoted and reclaimed ones carry our own lock), and so is
// one whose key somebody shares.
bool held_by_somebody(TupleTableSlot *slot) {
    HeapTupleHeader const header = reinterpret_cast<BufferHeapTupleTableSlot *>(slot)->base.tuple->t_data;
    uint16 const infomask = header->t_infomask;
    if ((infomask & (HEAP_XMAX_INVALID | HEAP_XMAX_IS_MULTI)) || HEAP_XMAX_IS_KEYSHR_LOCKED(infomask))
        return false;
    TransactionId const xmax = HeapTupleHeaderGetRawXmax(header);
    return call([&] {
        return TransactionIdIsCurrentTransactionId(xmax) ? !HEAP_XMAX_IS_LOCKED_ONLY(infomask)
                                                         : TransactionIdIsInProgress(xmax);
    });
}

} // namespace

LiveTable::LiveTable(Oid schema, ClaimMark mark, const JobTypes &types, ReturnSetInfo *rows)
    : mark_(mark), types_(types), rows_(rows), queued_(status_datum(schema, "queued")),
      locked_(status_datum(schema, "locked")), worker_(of(mark.worker).datum) {
    Oid const table = live_table_oid(schema), lane = relation_in(schema, "job_live_lane");
    call([&] {
        table_ = table_open(table, RowExclusiveLock);
        lane_ = index_open(lane, RowExclusiveLock);
        CommandCounterIncrement();
        PushActiveSnapshot(GetTransactionSnapshot());
        snapshot_ = GetActiveSnapshot();
        lanes_ = compat::index_beginscan(table_, lane_, snapshot_, 1);
        lanes_->xs_want_itup = true;
        lanes_->ignore_killed_tuples = false; // a dead entry names its lane as well: no walk over dead ones
        jobs_ = compat::index_beginscan(table_, lane_, snapshot_, 1);
        seen_ = table_slot_create(table_, nullptr);
        held_ = table_slot_create(table_, nullptr);
        changed_ = MakeSingleTupleTableSlot(RelationGetDescr(table_), &TTSOpsVirtual);
    });
    direct_ = nothing_to_bypass(table_);
}

std::optional<std::string> LiveTable::next_lane(std::string_view after) {
    Datum const bound = of(after).datum;
    bool const found = call([&] {
        ScanKeyData key;
        tenant_key(&key, BTGreaterStrategyNumber, F_TEXT_GT, bound);
        index_rescan(lanes_, &key, 1, nullptr, 0);
        return index_getnext_tid(lanes_, ForwardScanDirection) != nullptr;
    });
    return lane_found(found);
}

std::optional<std::string> LiveTable::last_lane() {
    Datum const bound = of(std::string_view()).datum;
    bool const found = call([&] {
        ScanKeyData key;
        tenant_key(&key, BTGreaterStrategyNumber, F_TEXT_GT, bound);
        index_rescan(lanes_, &key, 1, nullptr, 0);
        return index_getnext_tid(lanes_, BackwardScanDirection) != nullptr;
    });
    return lane_found(found);
}

std::optional<std::string> LiveTable::lane_found(bool found) {
    if (!found)
        return std::nullopt;
    bool null = false;
    return std::string(text_of(index_getattr(lanes_->xs_itup, 1, lanes_->xs_itupdesc, &null)));
}

int LiveTable::take(const std::string &tenant, int lane, int wanted, std::vector<ClaimedJob> &taken) {
    Datum const name = of(std::string_view(tenant)).datum;
    call([&] {
        ScanKeyData key;
        tenant_key(&key, BTEqualStrategyNumber, F_TEXTEQ, name);
        index_rescan(jobs_, &key, 1, nullptr, 0);
    });
    int got = 0;
    while (got < wanted && call([&] { return index_getnext_slot(jobs_, ForwardScanDirection, seen_); })) {
        check_interrupts();
        bool null = false;
        if (call([&] { return slot_getattr(seen_, kStatus, &null); }) != queued_)
            continue;
        if (!types_.any() && !types_.accepts(text_in(seen_, kType)))
            continue;
        if (held_by_somebody(seen_) || !lock(&seen_->tts_tid))
            continue;
        ClaimedJob const job = claimed(lane);
        if (direct_)
            update();
        else if (std::any_of(taken.begin(), taken.end(),
                             [&](auto const &other) { return other.id == job.id; }))
            continue; // only locked so far, so a second look at the lane sees it again
        taken.push_back(job);
        ++got;
    }
    return got;
}

// Locks the row version that we saw, unless somebody has it or has changed it since.
bool LiveTable::lock(ItemPointer tid) {
    return call([&] {
        TM_FailureData failure;
        return table_tuple_lock(table_, tid, snapshot_, held_, GetCurrentCommandId(true),
                                LockTupleNoKeyExclusive, LockWaitSkip, 0, &failure) == TM_Ok;
    });
}

void LiveTable::update() {
    call([&] {
        slot_getallattrs(held_);
        ExecClearTuple(changed_);
        memcpy(changed_->tts_values, held_->tts_values, sizeof(Datum) * kColumns);
        memcpy(changed_->tts_isnull, held_->tts_isnull, sizeof(bool) * kColumns);
        auto const set = [this](Column column, Datum value) {
            changed_->tts_values[column - 1] = value;
            changed_->tts_isnull[column - 1] = false;
        };
        set(kStatus, locked_);
        set(kAttempts, Int32GetDatum(DatumGetInt32(held_->tts_values[kAttempts - 1]) + 1));
        set(kLockedBy, worker_);
        set(kLockedAt, TimestampTzGetDatum(mark_.at));
        set(kLockToken, Int64GetDatum(mark_.lock_token));
        set(kUpdatedAt, TimestampTzGetDatum(mark_.at));
        changed_->tts_values[kHeldKey - 1] = held_->tts_values[kConcurrencyKey - 1];
        changed_->tts_isnull[kHeldKey - 1] = held_->tts_isnull[kConcurrencyKey - 1];
        ExecStoreVirtualTuple(changed_);
        if (rows_)
            tuplestore_putvalues(rows_->setResult, rows_->setDesc, changed_->tts_values,
                                 changed_->tts_isnull);
        if (compat::table_tuple_update(table_, &held_->tts_tid, changed_, snapshot_))
            add_index_entries();
    });
}

// The page had no room for the new version: not HOT, each index needs an entry. Runs inside update()'s
// call().
void LiveTable::add_index_entries() {
    if (executor_ == nullptr) {
        executor_ = CreateExecutorState();
        indexes_ = makeNode(ResultRelInfo);
        InitResultRelInfo(indexes_, table_, 0, nullptr, 0);
        ExecOpenIndices(indexes_, false);
    }
    compat::insert_index_entries(indexes_, changed_, executor_);
    ResetPerTupleExprContext(executor_);
}

ClaimedJob LiveTable::claimed(int lane) const {
    bool null = false;
    int64 const id = DatumGetInt64(call([&] { return slot_getattr(held_, kId, &null); }));
    int64 const run = DatumGetInt64(call([&] { return slot_getattr(held_, kRunId, &null); }));
    return {id, text_in(held_, kType) == kLoadTest, lane, null ? 0 : run};
}

void LiveTable::finish() {
    call([&] {
        if (executor_) {
            ExecCloseIndices(indexes_);
            FreeExecutorState(executor_);
        }
        index_endscan(lanes_);
        index_endscan(jobs_);
        ExecDropSingleTupleTableSlot(seen_);
        ExecDropSingleTupleTableSlot(held_);
        ExecDropSingleTupleTableSlot(changed_);
        PopActiveSnapshot();
        index_close(lane_, NoLock);
        table_close(table_, NoLock);
        CommandCounterIncrement();
    });
}

} // namespace fairq::pg
