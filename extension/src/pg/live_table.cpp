// Walk and claim on job_live (see live_table.hpp). The order of locks is: table, tuple; never a tenant, never
// a page held across a wait.
#include "pg/live_table.hpp"

#include "pg/live_columns.hpp"
#include "pg/row_holder.hpp"

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

} // namespace

LiveTable::LiveTable(Oid schema, ClaimMark mark, const JobTypes &types, KeyLocks &keys, ReturnSetInfo *rows)
    : mark_(mark), types_(types), keys_(keys), rows_(rows), queued_(status_datum(schema, "queued")),
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

Taken LiveTable::take(const std::string &tenant, int lane, int wanted, bool capped,
                      std::vector<ClaimedJob> &taken) {
    Datum const name = of(std::string_view(tenant)).datum;
    call([&] {
        ScanKeyData key;
        tenant_key(&key, BTEqualStrategyNumber, F_TEXTEQ, name);
        index_rescan(jobs_, &key, 1, nullptr, 0);
    });
    Taken result;
    while (call([&] { return index_getnext_slot(jobs_, ForwardScanDirection, seen_); })) {
        check_interrupts();
        Look const seen = look(tenant, capped);
        if (seen == Look::taken) {
            taken.push_back(claimed(lane));
            ++result.jobs;
        }
        result.empty = result.empty && seen != Look::others;
        // A lane with nothing to park is not held up by those that have filled what a claim may park.
        if (result.jobs == wanted || (seen == Look::parked && parks_all_it_may())) {
            result.empty = false; // nobody has looked further
            break;
        }
    }
    return result;
}

// What is to be done with the job in seen_, and does it.
LiveTable::Look LiveTable::look(const std::string &tenant, bool capped) {
    bool null = false;
    if (call([&] { return slot_getattr(seen_, kStatus, &null); }) != queued_)
        return Look::passed;
    int64 const id = DatumGetInt64(call([&] { return slot_getattr(seen_, kId, &null); }));
    if (!only_locked_.empty() && only_locked_.count(id) > 0)
        return Look::passed;
    bool paused = false;
    if (!types_.any()) {
        std::string_view const type = text_in(seen_, kType);
        paused = types_.pauses(type);
        if (!paused && !types_.accepts(type))
            return Look::others;
    }
    if (held_by_somebody(seen_) || !lock(&seen_->tts_tid))
        return Look::others;
    call([&] { slot_getattr(held_, kConcurrencyKey, &null); });
    if (paused && null)
        return park();
    if (!null)
        if (Look const key = paused ? Look::others : look_at_key(tenant); key != Look::taken)
            return key;
    if (direct_)
        update(capped);
    else
        only_locked_.insert(id); // a second look at the lane would see it again
    return Look::taken;
}

LiveTable::Look LiveTable::look_at_key(const std::string &tenant) {
    switch (keys_.take(tenant, text_in(held_, kConcurrencyKey))) {
    case KeyLocks::State::free:
        return Look::taken;
    case KeyLocks::State::busy:
        return park();
    case KeyLocks::State::unknown:
        break;
    }
    return Look::others;
}

LiveTable::Look LiveTable::park() {
    bool null = false;
    to_park_.push_back(DatumGetInt64(call([&] { return slot_getattr(held_, kId, &null); })));
    only_locked_.insert(to_park_.back());
    return Look::parked;
}

// Locks the row version that we saw, unless somebody has it or has changed it since.
bool LiveTable::lock(ItemPointer tid) {
    return call([&] {
        TM_FailureData failure;
        return table_tuple_lock(table_, tid, snapshot_, held_, GetCurrentCommandId(true),
                                LockTupleNoKeyExclusive, LockWaitSkip, 0, &failure) == TM_Ok;
    });
}

void LiveTable::update(bool capped) {
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
        if (capped)
            set(kRunningSince, TimestampTzGetDatum(mark_.at));
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
    Datum const since = call([&] { return slot_getattr(held_, kUpdatedAt, &null); });
    int64 const run = DatumGetInt64(call([&] { return slot_getattr(held_, kRunId, &null); }));
    return {id, text_in(held_, kType) == kLoadTest, lane, DatumGetTimestampTz(since), null ? 0 : run};
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
