// Walk and claim on job_live (see live_table.hpp). The order of locks is: table, tuple; never a tenant, never
// a page held across a wait.
#include "tables/live_table.hpp"

#include "pg/errors.hpp"
#include "tables/live_columns.hpp"
#include "tables/open_relation.hpp"
#include "tables/row_holder.hpp"

namespace fairq::tables {

namespace {

constexpr int kOurChecks = 9;
constexpr int kOurIndexes = 9;

// Whether a direct update would be all that an UPDATE is.
bool nothing_to_bypass(Relation table) {
    TupleConstr const *const constraints = RelationGetDescr(table)->constr;
    return table->trigdesc == nullptr && table->rd_rules == nullptr && !table->rd_rel->relrowsecurity &&
           RelationGetDescr(table)->natts == kColumns && constraints->num_check == kOurChecks &&
           !constraints->has_generated_stored && pg::call([&] {
               List *const indexes = RelationGetIndexList(table);
               return list_length(indexes) == kOurIndexes;
           });
}

// The entries of a lane that are in none of its skip ranges.
class Entries {
public:
    Entries(LaneReader &reader, const std::string &tenant, const core::SkipRanges &skip_ranges)
        : reader_(reader), tenant_(tenant), skip_ranges_(skip_ranges) {}

    // The place of the first one from there on; the rest as in LaneReader::start.
    std::optional<core::LaneKey> start(core::LaneKey from, int expected, bool dead_too, core::PageHint hint) {
        expected_ = expected;
        dead_too_ = dead_too;
        reader_.start(tenant_, skip_ranges_.skip(from), expected_, dead_too_, hint);
        return next();
    }

    std::optional<core::LaneKey> next() {
        for (;;) {
            std::optional<core::LaneKey> const key = reader_.next();
            if (!key || skip_ranges_.skip(*key) == *key)
                return key;
            pg::check_interrupts();
            reader_.start(tenant_, skip_ranges_.skip(*key), expected_, dead_too_);
        }
    }

    // Passes over so many, from `key` on, and over all entries of their jobs. Returns the place right behind.
    core::LaneKey leave(int count, std::optional<core::LaneKey> &key) {
        core::LaneKey last = core::kFirstKey;
        for (; key && (count > 0 || *key == last); key = next()) {
            last = *key;
            --count;
        }
        return key ? core::range_of(last).to : core::kLastKey;
    }

private:
    LaneReader &reader_;
    const std::string &tenant_;
    const core::SkipRanges &skip_ranges_;
    int expected_ = 0;
    bool dead_too_ = false;
};

// Nobody has it, nor had it lately: not we either, in a command before this one. To update what that left
// behind, which our snapshot still sees, is an error. (With assertions heap_update() always wants to wait.)
bool untouched(TupleTableSlot *slot) {
#ifdef USE_ASSERT_CHECKING
    return false;
#endif
    HeapTupleHeader const header = reinterpret_cast<BufferHeapTupleTableSlot *>(slot)->base.tuple->t_data;
    return (header->t_infomask & HEAP_XMAX_INVALID) != 0;
}

// Not in progress, and not committed either: nobody has it.
bool free_to_claim(TupleTableSlot *slot) {
    HeapTupleHeader const header = reinterpret_cast<BufferHeapTupleTableSlot *>(slot)->base.tuple->t_data;
    if (held_by_somebody(slot))
        return false;
    uint16 const infomask = header->t_infomask;
    return (infomask & (HEAP_XMAX_INVALID | HEAP_XMAX_IS_MULTI)) || HEAP_XMAX_IS_LOCKED_ONLY(infomask) ||
           pg::call([&] { return !TransactionIdDidCommit(HeapTupleHeaderGetRawXmax(header)); });
}

// The row that was written from the slot, as a row of job_queue, whose columns are the first ones of
// job_live: behind them there may be more, only the row must not say so. Runs inside call().
void put_version(TupleTableSlot *written, ReturnSetInfo *result) {
    HeapTuple const row = ExecFetchSlotHeapTuple(written, false, nullptr);
    HeapTupleHeaderSetNatts(row->t_data, result->setDesc->natts);
    tuplestore_puttuple(result->setResult, row);
}

} // namespace

LiveTable::LiveTable(Oid schema, ClaimStamp stamp, const core::JobTypes &types, KeyLocks &keys,
                     ReturnSetInfo *rows)
    : stamp_(stamp), types_(types), keys_(keys), rows_(rows), worker_(pg::of(stamp.worker).datum),
      table_(open_table(schema, "job_live", RowExclusiveLock)),
      lane_(open_index(schema, "job_live_lane", RowExclusiveLock)), queued_(status_datum(schema, "queued")),
      locked_(status_datum(schema, "locked")) {
    if (!pg::call([&] { return LaneReader::reads(lane_, table_); }))
        pg::raise_altered_index("job_live_lane",
                                "ON job_live (tenant_id, priority, position) WHERE position IS NOT NULL");
    pg::call([&] {
        CommandCounterIncrement();
        PushActiveSnapshot(GetTransactionSnapshot());
        snapshot_ = GetActiveSnapshot();
        reader_.open(table_, lane_, snapshot_);
        seen_ = table_slot_create(table_, nullptr);
        held_ = table_slot_create(table_, nullptr);
        changed_ =
            MakeSingleTupleTableSlot(RelationGetDescr(table_), &TTSOpsHeapTuple); // keeps what is written
    });
    direct_ = nothing_to_bypass(table_);
}

std::optional<std::string> LiveTable::last_lane() {
    Datum const bound = pg::of(std::string_view()).datum;
    text *const name = pg::call([&] {
        IndexScanDesc const scan = pg::compat::index_beginscan(table_, lane_, snapshot_, 1);
        scan->xs_want_itup = true;
        ScanKeyData key;
        tenant_key(&key, BTGreaterStrategyNumber, F_TEXT_GT, bound);
        index_rescan(scan, &key, 1, nullptr, 0);
        bool null = false;
        text *const last = index_getnext_tid(scan, BackwardScanDirection) == nullptr
                               ? nullptr
                               : DatumGetTextPCopy(index_getattr(scan->xs_itup, 1, scan->xs_itupdesc, &null));
        index_endscan(scan);
        return last;
    });
    return name == nullptr ? std::nullopt : std::optional<std::string>(pg::text_of(PointerGetDatum(name)));
}

ScanResult LiveTable::take(const ScanRequest &wanted, std::vector<ClaimedJob> &taken) {
    ScanResult result;
    Entries entries(reader_, wanted.tenant, wanted.skip_ranges);
    std::optional<core::LaneKey> key =
        entries.start(wanted.from, wanted.ahead + wanted.jobs, false, wanted.hint);
    result.hint = reader_.hint();
    core::ScannedRanges scanned(wanted.from, result.scanned);
    if (wanted.ahead > 0) {
        result.began = entries.leave(wanted.ahead, key);
        scanned.leave_out({wanted.from, result.began});
    }
    for (core::LaneKey last = core::kFirstKey; key && *key < wanted.to; key = entries.next()) {
        pg::check_interrupts();
        if (reader_.is_behind_dead())
            scanned.over_dead();
        // Not between the entries of one job: the last one may be the one that counts.
        if (result.looked_at >= kMostAtOnce && *key != last) {
            result.next = core::range_of(last).to; // so that its range and the next one meet
            scanned.end();
            return result;
        }
        last = *key;
        ++result.looked_at;
        Look const seen = reader_.fetch(seen_) ? look(wanted.tenant, wanted.capped) : Look::passed;
        if (seen == Look::taken)
            taken.push_back(claimed(wanted.lane));
        note(seen, *key, scanned, result);
        // A lane with nothing to park is not held up by those that have filled what a claim may park.
        if (result.jobs == wanted.jobs || (seen == Look::parked && parks_all_it_may())) {
            result.empty = false; // nobody has looked further
            scanned.end();
            return result;
        }
    }
    scanned.end_at(wanted.to);
    return result;
}

void LiveTable::note(Look seen, core::LaneKey key, core::ScannedRanges &scanned, ScanResult &result) {
    result.jobs += seen == Look::taken ? 1 : 0;
    if (seen == Look::taken || seen == Look::parked)
        result.own.add(core::range_of(key));
    if (seen == Look::others) {
        scanned.leave_out(core::range_of(key));
        result.empty = false;
    } else {
        scanned.over(key);
    }
}

// What is to be done with the job in seen_, and does it.
LiveTable::Look LiveTable::look(const std::string &tenant, bool capped) {
    pg::call([&] { slot_getallattrs(seen_); });
    if (value(kStatus) != queued_ || (!only_locked_.empty() && only_locked_.count(id()) > 0))
        return Look::passed;
    bool const has_key = !is_null(kConcurrencyKey);
    bool paused = false;
    if (!types_.any()) {
        std::string_view const type = pg::text_of(value(kType));
        paused = types_.pauses(type);
        // With a key, a job of a paused type is not parked: then it need not be locked either.
        if (paused ? has_key : !types_.accepts(type))
            return Look::others;
    }
    if (direct_ && !paused && !has_key && untouched(seen_))
        if (TM_Result const updated = update(capped, false); updated != TM_BeingModified)
            return updated == TM_Ok ? Look::taken : Look::others;
    if (held_by_somebody(seen_) || !lock())
        return Look::others;
    if (paused)
        return park();
    if (has_key)
        if (Look const key = look_at_key(tenant); key != Look::taken)
            return key;
    if (direct_)
        return update(capped, true) == TM_Ok ? Look::taken : Look::others;
    only_locked_.insert(id()); // a second look at the lane would see it again
    return Look::taken;
}

LiveTable::Look LiveTable::look_at_key(const std::string &tenant) {
    switch (keys_.take(tenant, pg::text_of(value(kConcurrencyKey)))) {
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
    to_park_.push_back(id());
    only_locked_.insert(id());
    return Look::parked;
}

// Locks the row version that we saw, unless somebody has it or has changed it since.
bool LiveTable::lock() {
    return pg::call([&] {
        TM_FailureData failure;
        return table_tuple_lock(table_, &seen_->tts_tid, snapshot_, held_, GetCurrentCommandId(true),
                                LockTupleNoKeyExclusive, LockWaitSkip, 0, &failure) == TM_Ok;
    });
}

core::LaneKey LiveTable::look_into(const std::string &tenant, const core::SkipRanges &skip_ranges,
                                   core::LaneKey key, int &entries, std::vector<core::LaneKey> &found) {
    key = skip_ranges.next(key);
    auto const start = [&] { // dead entries count as well: thousands may stand in a row
        reader_.start(tenant, key, entries, true);
    };
    start();
    for (core::LaneKey seen = core::kFirstKey; key != core::kLastKey;) {
        pg::check_interrupts();
        std::optional<core::LaneKey> const entry = reader_.next();
        if (!entry)
            key = core::kLastKey;
        else if (entries <= 0 && *entry != seen) // a job may have several
            return *entry;
        else if (key = skip_ranges.next(*entry); key != *entry)
            start();
        else if (--entries; reader_.peek(seen_) && is_free())
            found.push_back(key);
        seen = key;
    }
    return key;
}

// Whether the row in seen_ is a job that anybody could claim.
bool LiveTable::is_free() {
    bool null = false;
    return pg::call([&] { return slot_getattr(seen_, kStatus, &null); }) == queued_ && free_to_claim(seen_);
}

// Of the version in seen_. Without `wait` nobody may have it, not even we.
TM_Result LiveTable::update(bool capped, bool wait) {
    pg::compat::TU_UpdateIndexes indexes = pg::compat::TU_None;
    TM_Result const updated = pg::call([&] {
        fill_changed(capped);
        return pg::compat::table_tuple_update(table_, &seen_->tts_tid, changed_, snapshot_, wait, &indexes);
    });
    if (updated == TM_Ok && indexes != pg::compat::TU_None)
        add_index_entries(indexes == pg::compat::TU_Summarizing);
    if (updated == TM_Ok && rows_)
        pg::call([&] { put_version(changed_, rows_); });
    return updated;
}

void LiveTable::fill_changed(bool capped) {
    ExecClearTuple(changed_);
    memcpy(changed_->tts_values, seen_->tts_values, sizeof(Datum) * kColumns);
    memcpy(changed_->tts_isnull, seen_->tts_isnull, sizeof(bool) * kColumns);
    auto const set = [this](Column column, Datum value) { change(column, value, false); };
    set(kStatus, locked_);
    set(kAttempts, Int32GetDatum(DatumGetInt32(value(kAttempts)) + 1));
    set(kLockedBy, worker_);
    set(kLockedAt, TimestampTzGetDatum(stamp_.at));
    set(kLockToken, Int64GetDatum(stamp_.lock_token));
    set(kUpdatedAt, TimestampTzGetDatum(stamp_.at));
    change(kHeldKey, value(kConcurrencyKey), is_null(kConcurrencyKey));
    if (capped)
        fill_running();
    ExecStoreVirtualTuple(changed_);
}

// An index finds it as running, so this is no HOT update: then the job leaves its lane meanwhile, which saves
// it a new entry there.
void LiveTable::fill_running() {
    change(kRunningSince, TimestampTzGetDatum(stamp_.at), false);
    change(kRunningPosition, value(kPosition), is_null(kPosition));
    change(kPosition, 0, true);
}

// Not HOT: the page had no room for the new version, or an index finds it by what has changed. Each index
// that has the row needs an entry. (HOT, and only those do that summarize.)
void LiveTable::add_index_entries(bool only_summarizing) {
    if (!indexes_)
        indexes_.emplace(table_);
    indexes_->write([&] { indexes_->add(changed_, true, only_summarizing); });
}

ClaimedJob LiveTable::claimed(int lane) const {
    ClaimedJob job{id(),
                   pg::text_of(value(kType)) == kLoadTest,
                   lane,
                   DatumGetTimestampTz(value(kUpdatedAt)),
                   is_null(kRunId) ? 0 : DatumGetInt64(value(kRunId)),
                   changed_->tts_tid};
    if (!direct_)
        ItemPointerSetInvalid(&job.row);
    return job;
}

void LiveTable::finish() {
    if (indexes_)
        indexes_->close();
    pg::call([&] {
        reader_.finish();
        ExecDropSingleTupleTableSlot(seen_);
        ExecDropSingleTupleTableSlot(held_);
        ExecDropSingleTupleTableSlot(changed_);
        PopActiveSnapshot();
        index_close(lane_, NoLock);
        table_close(table_, NoLock);
        CommandCounterIncrement();
    });
}

} // namespace fairq::tables
