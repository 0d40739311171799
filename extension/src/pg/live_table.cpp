// Walk and claim on job_live (see live_table.hpp). The order of locks is: table, tuple; never a tenant, never a page held
// across a wait.
#include "pg/live_table.hpp"

#include "pg/errors.hpp"

namespace fairq::pg {

namespace {

// The columns of job_live, as sql/fairq.sql orders them.
enum Column : AttrNumber {
    kId = 1, kTenant, kType, kStatus, kPriority, kPayload, kRunAt, kAttempts, kMaxAttempts, kTimeout, kKey,
    kLockedBy, kLockedAt, kLockToken, kLastError, kCreatedAt, kUpdatedAt, kPosition, kDueAt,
    kColumns = kDueAt
};
constexpr int kOurChecks = 4;
constexpr int kOurIndexes = 3;
constexpr std::string_view kLoadTest = "load_test";

Oid relation_in(Oid schema, const char *name) {
    Oid const oid = call([&] { return get_relname_relid(name, schema); });
    if (!OidIsValid(oid))
        raise_not_installed();
    return oid;
}

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

void tenant_key(ScanKey key, StrategyNumber strategy, RegProcedure compare, Datum tenant) {
    ScanKeyEntryInitialize(key, 0, 1, strategy, InvalidOid, C_COLLATION_OID, compare, tenant);
}

// Whether a transaction in progress (ours included) has locked or changed this version: a look at the header, which saves
// most of the tries to lock what another claim is taking just now. What it does not see, the lock does.
bool held_by_somebody(TupleTableSlot *slot) {
    HeapTupleHeader const header = reinterpret_cast<BufferHeapTupleTableSlot *>(slot)->base.tuple->t_data;
    if (header->t_infomask & (HEAP_XMAX_INVALID | HEAP_XMAX_IS_MULTI))
        return false;
    TransactionId const xmax = HeapTupleHeaderGetRawXmax(header);
    return call([&] { return TransactionIdIsCurrentTransactionId(xmax) || TransactionIdIsInProgress(xmax); });
}

std::string_view text_in(TupleTableSlot *slot, Column column) {
    bool null = false;
    return text_of(call([&] { return slot_getattr(slot, column, &null); }));
}

} // namespace

Datum status_datum(Oid schema, const char *label) {
    return call([&] {
        Oid const type = GetSysCacheOid2(TYPENAMENSP, Anum_pg_type_oid, CStringGetDatum("job_status"),
                                         ObjectIdGetDatum(schema));
        return ObjectIdGetDatum(GetSysCacheOid2(ENUMTYPOIDNAME, Anum_pg_enum_oid, ObjectIdGetDatum(type),
                                                CStringGetDatum(label)));
    });
}

Oid live_table_oid(Oid schema) { return relation_in(schema, "job_live"); }

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
        if (direct_)
            update();
        taken.push_back(claimed(lane));
        ++got;
    }
    return got;
}

// Locks the row version that we saw, unless somebody has it or has changed it since.
bool LiveTable::lock(ItemPointer tid) {
    return call([&] {
        TM_FailureData failure;
        return table_tuple_lock(table_, tid, snapshot_, held_, GetCurrentCommandId(true), LockTupleNoKeyExclusive,
                                LockWaitSkip, 0, &failure) == TM_Ok;
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
        ExecStoreVirtualTuple(changed_);
        if (rows_)
            tuplestore_putvalues(rows_->setResult, rows_->setDesc, changed_->tts_values, changed_->tts_isnull);
        if (compat::table_tuple_update(table_, &held_->tts_tid, changed_, snapshot_))
            add_index_entries();
    });
}

// The page had no room for the new version: not HOT, each index needs an entry. Runs inside update()'s call().
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
    return {id, text_in(held_, kType) == kLoadTest, lane};
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

std::optional<TimestampTz> oldest_queued(Oid schema, bool load_test_only) {
    Datum const queued = status_datum(schema, "queued");
    Oid const table_oid = live_table_oid(schema), key_oid = relation_in(schema, "job_live_pkey");
    Relation table = nullptr, key = nullptr;
    IndexScanDesc scan = nullptr;
    TupleTableSlot *slot = nullptr;
    call([&] {
        table = table_open(table_oid, AccessShareLock);
        key = index_open(key_oid, AccessShareLock);
        slot = table_slot_create(table, nullptr);
        PushActiveSnapshot(GetTransactionSnapshot());
        scan = compat::index_beginscan(table, key, GetActiveSnapshot(), 0);
        index_rescan(scan, nullptr, 0, nullptr, 0);
    });
    std::optional<TimestampTz> oldest;
    bool null = false;
    while (!oldest && call([&] { return index_getnext_slot(scan, ForwardScanDirection, slot); })) {
        check_interrupts();
        if (call([&] { return slot_getattr(slot, kStatus, &null); }) == queued &&
            (!load_test_only || text_in(slot, kType) == kLoadTest))
            oldest = DatumGetTimestampTz(call([&] { return slot_getattr(slot, kCreatedAt, &null); }));
    }
    call([&] {
        index_endscan(scan);
        ExecDropSingleTupleTableSlot(slot);
        PopActiveSnapshot();
        index_close(key, AccessShareLock);
        table_close(table, AccessShareLock);
    });
    return oldest;
}

} // namespace fairq::pg
