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

// What of a lane a claim has passed, so that nothing is left to claim there; in as many stretches as a lane
// has gaps.
class Passed {
public:
    Passed(core::LaneKey from, std::vector<core::Stretch> &stretches)
        : now_{from, from}, stretches_(stretches) {}

    void up_to(core::LaneKey key) { now_.to = std::max(now_.to, key); }
    // Others may claim this one, or somebody later.
    void leave_out(core::LaneKey key) {
        now_.to = key;
        end();
        now_ = {key + 1, key + 1};
    }
    void end() {
        if (!now_.empty() && stretches_.size() < core::Gaps::kMost)
            stretches_.push_back(now_);
    }

private:
    core::Stretch now_;
    std::vector<core::Stretch> &stretches_;
};

// Not in progress, and not committed either: nobody has it.
bool free_to_claim(TupleTableSlot *slot) {
    HeapTupleHeader const header = reinterpret_cast<BufferHeapTupleTableSlot *>(slot)->base.tuple->t_data;
    if (held_by_somebody(slot))
        return false;
    uint16 const infomask = header->t_infomask;
    return (infomask & (HEAP_XMAX_INVALID | HEAP_XMAX_IS_MULTI)) || HEAP_XMAX_IS_LOCKED_ONLY(infomask) ||
           call([&] { return !TransactionIdDidCommit(HeapTupleHeaderGetRawXmax(header)); });
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
        jobs_ = compat::index_beginscan(table_, lane_, snapshot_, 2);
        jobs_->xs_want_itup = true;
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

// Jobs of the tenant, from that place on.
void LiveTable::start(std::string_view tenant, core::LaneKey from) {
    Datum const name = of(tenant).datum;
    call([&] {
        ScanKeyData keys[2] = {};
        tenant_key(&keys[0], BTEqualStrategyNumber, F_TEXTEQ, name);
        ScanKeyEntryInitialize(&place_[0], SK_ROW_MEMBER, 2, BTGreaterEqualStrategyNumber, INT2OID,
                               InvalidOid, F_BTINT2CMP, Int16GetDatum(core::priority_of(from)));
        ScanKeyEntryInitialize(&place_[1], SK_ROW_MEMBER | SK_ROW_END, 3, BTGreaterEqualStrategyNumber,
                               INT8OID, InvalidOid, F_BTINT8CMP, Int64GetDatum(core::position_of(from)));
        keys[1].sk_flags = SK_ROW_HEADER;
        keys[1].sk_attno = 2;
        keys[1].sk_strategy = BTGreaterEqualStrategyNumber;
        keys[1].sk_argument = PointerGetDatum(place_);
        index_rescan(jobs_, keys, 2, nullptr, 0);
    });
}

// The place of the next entry, dead or alive; none at the end of the lane.
std::optional<core::LaneKey> LiveTable::next_entry() {
    if (!call([&] { return index_getnext_tid(jobs_, ForwardScanDirection) != nullptr; }))
        return std::nullopt;
    bool null = false;
    auto const column = [&](int number) {
        return index_getattr(jobs_->xs_itup, number, jobs_->xs_itupdesc, &null);
    };
    return core::lane_key(DatumGetInt16(column(2)), DatumGetInt64(column(3)));
}

// The row of the entry, into seen_; false when our snapshot sees none. (Marks the entry when nobody does.)
bool LiveTable::fetch() {
    return call([&] { return index_fetch_heap(jobs_, seen_); });
}

Taken LiveTable::take(const Wanted &wanted, std::vector<ClaimedJob> &taken) {
    Taken result;
    Passed passed(wanted.from, result.passed);
    start(wanted.tenant, wanted.gaps.skip(wanted.from));
    while (std::optional<core::LaneKey> const key = next_entry()) {
        check_interrupts();
        if (core::LaneKey const next = wanted.gaps.skip(*key); next != *key) {
            start(wanted.tenant, next);
            continue;
        }
        passed.up_to(*key);
        Look const seen = fetch() ? look(wanted.tenant, wanted.capped) : Look::passed;
        if (seen == Look::taken) {
            taken.push_back(claimed(wanted.lane));
            ++result.jobs;
        }
        if (seen == Look::taken || seen == Look::parked)
            result.own.add(core::stretch_of(*key));
        if (seen == Look::others) {
            passed.leave_out(*key);
            result.empty = false;
        } else {
            passed.up_to(core::behind(*key));
        }
        // A lane with nothing to park is not held up by those that have filled what a claim may park.
        bool const all = result.jobs == wanted.jobs || (seen == Look::parked && parks_all_it_may());
        if (++result.looked_at == kMostAtOnce && !all)
            result.next = core::behind(*key);
        if (all || result.next) {
            result.empty = result.empty && !all; // nobody has looked further
            passed.end();
            return result;
        }
    }
    passed.up_to(core::kLastKey);
    passed.end();
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

core::LaneKey LiveTable::look_into(const std::string &tenant, const core::Gaps &gaps, core::LaneKey key,
                                   int &entries, std::vector<core::LaneKey> &found) {
    jobs_->ignore_killed_tuples = false; // they count as well: thousands may stand in a row
    key = gaps.next(key);
    start(tenant, key);
    for (core::LaneKey seen = core::kFirstKey; key != core::kLastKey;) {
        check_interrupts();
        std::optional<core::LaneKey> const entry = next_entry();
        if (!entry)
            key = core::kLastKey;
        else if (entries <= 0 && *entry != seen) // a job may have several
            return *entry;
        else if (key = gaps.next(*entry); key != *entry)
            start(tenant, key);
        else if (--entries; fetch() && is_free())
            found.push_back(key);
        seen = key;
    }
    return key;
}

// Whether the row in seen_ is a job that anybody could claim.
bool LiveTable::is_free() {
    bool null = false;
    return call([&] { return slot_getattr(seen_, kStatus, &null); }) == queued_ && free_to_claim(seen_);
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
