// Walk and claim on job_live (see live_table.hpp). A claim locks the table, and updates a row without locking it first;
// if the job has a concurrency key, it locks the row, then the key. In this file it takes no tenant's lock, waits for no lock of a row or a key, and keeps no page locked between entries.
#include "tables/live_table.hpp"

#include "pg/errors.hpp"
#include "tables/open_relation.hpp"
#include "tables/row_holder.hpp"

namespace fairq::tables {

namespace {

// The entries of a lane that are in none of its skip ranges.
class Entries {
public:
    Entries(LaneReader &reader, const std::string &tenant, const core::SkipRanges &skip_ranges)
        : reader_(reader), tenant_(tenant), skip_ranges_(skip_ranges) {}

    // The place of the first entry from `from` on; the other arguments are those of LaneReader::start.
    std::optional<core::LaneKey> start(core::LaneKey from, int expected, bool dead_too, core::PageHint hint) {
        expected_ = expected;
        dead_too_ = dead_too;
        reader_.start(tenant_, skip_ranges_.skip(from), expected_, dead_too_, hint);
        return next();
    }

    std::optional<core::LaneKey> next() {
        for (;;) {
            std::optional<core::LaneKey> const key = reader_.next();
            core::LaneKey const free = key ? skip_ranges_.skip(*key) : core::kLastKey;
            if (!key || free == *key)
                return key;
            pg::check_interrupts();
            if (free == core::kLastKey) // the range reaches to the end of the lane
                return std::nullopt;
            reader_.start(tenant_, free, expected_, dead_too_);
        }
    }

    // Passes over `count` jobs, from `key` on, with all their entries. Returns the key right behind them.
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

// Whether no transaction, this one included, has locked or updated this version: its xmax is invalid. Only then
// may an update go without a row lock: it is an error to update a version that an earlier command of this
// transaction has replaced. (With assertions, heap_update() has to be told to wait: so the answer is no.)
bool untouched(TupleTableSlot *slot) {
#ifdef USE_ASSERT_CHECKING
    return false;
#endif
    HeapTupleHeader const header = reinterpret_cast<BufferHeapTupleTableSlot *>(slot)->base.tuple->t_data;
    return (header->t_infomask & HEAP_XMAX_INVALID) != 0;
}

// Whether no transaction in progress has locked or changed this version, and no committed one has replaced it.
bool is_unclaimed(TupleTableSlot *slot) {
    HeapTupleHeader const header = reinterpret_cast<BufferHeapTupleTableSlot *>(slot)->base.tuple->t_data;
    if (is_held(slot))
        return false;
    uint16 const infomask = header->t_infomask;
    return (infomask & (HEAP_XMAX_INVALID | HEAP_XMAX_IS_MULTI)) || HEAP_XMAX_IS_LOCKED_ONLY(infomask) ||
           pg::call([&] { return !TransactionIdDidCommit(HeapTupleHeaderGetRawXmax(header)); });
}

// Adds the row that was written from the slot to the result, as a row of job_queue. Its columns are the first ones
// of job_live, so it is enough to lower the row's number of columns. Runs inside call().
void put_version(TupleTableSlot *written, ReturnSetInfo *result) {
    HeapTuple const row = ExecFetchSlotHeapTuple(written, false, nullptr);
    HeapTupleHeaderSetNatts(row->t_data, result->setDesc->natts);
    tuplestore_puttuple(result->setResult, row);
}

} // namespace

LiveTable::LiveTable(Oid schema, ClaimStamp stamp, const core::JobTypes &types, KeyLocks &keys,
                     ReturnSetInfo *rows)
    : schema_(schema), stamp_(stamp), types_(types), keys_(keys), rows_(rows),
      worker_(pg::of(stamp.worker).datum), table_(open_table(schema, "job_live", RowExclusiveLock)),
      lane_(open_index(schema, "job_live_lane", RowExclusiveLock)), queued_(status_datum(schema, "queued")),
      locked_(status_datum(schema, "locked")) {
    if (!pg::call([&] { return LaneReader::reads(lane_, table_); }))
        pg::raise_altered_index(
            "job_live_lane", "ON job_live (queue, tenant_id, priority, position) WHERE position IS NOT NULL");
    pg::call([&] {
        CommandCounterIncrement();
        PushActiveSnapshot(GetTransactionSnapshot());
        snapshot_ = GetActiveSnapshot();
        reader_.open(table_, lane_, snapshot_);
        seen_ = table_slot_create(table_, nullptr);
        held_ = table_slot_create(table_, nullptr);
        // A slot of this kind keeps the row that the update writes.
        changed_ = MakeSingleTupleTableSlot(RelationGetDescr(table_), &TTSOpsHeapTuple);
    });
    reader_.set_queue(stamp.queue);
    direct_ = is_as_made(table_, kLiveShape);
}

bool may_be_refused(Oid schema) {
    Relation const table = open_table(schema, "job_live", RowExclusiveLock);
    bool const may = !takes_every_row(table, kLiveShape);
    pg::call([&] { table_close(table, NoLock); });
    return may;
}

std::optional<std::string> LiveTable::last_lane() {
    pg::IndexScan scan(open_for_scan(schema_, "job_live", "job_live_lane"), 1, pg::IndexScan::Sees::active);
    scan.want_entries();
    scan.start({{1, BTEqualStrategyNumber, F_TEXTEQ, pg::of(stamp_.queue).datum}}, BackwardScanDirection);
    std::optional<std::string> last;
    if (scan.next_entry())
        last = pg::text_of(scan.entry(2));
    scan.close();
    return last;
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
        // A job may have several entries with one key, and only the last may lead to a row that the snapshot
        // sees. So a walk does not stop between them.
        if (result.looked_at >= wanted.entries && *key != last) {
            result.next = core::range_of(last).to; // so that the range scanned so far meets the next one
            scanned.end();
            return result;
        }
        last = *key;
        ++result.looked_at;
        Look const seen = reader_.fetch(seen_) ? look(wanted.tenant, wanted.capped) : Look::passed;
        if (seen == Look::taken)
            taken.push_back(claimed(wanted.lane));
        note(seen, *key, scanned, result);
        // Once a claim has parked its maximum, it leaves a lane after the next job that it parks there.
        if (result.jobs == wanted.jobs || (seen == Look::parked && parks_all_it_may())) {
            result.empty = result.paused = false; // the entries behind it were not looked at
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
    if (seen == Look::unavailable || seen == Look::paused) {
        scanned.leave_out(core::range_of(key));
        result.empty = false;
        result.paused = result.paused && seen == Look::paused;
    } else {
        scanned.over(key);
    }
}

// Takes the job in seen_, marks it to be parked, passes over it or leaves it to another transaction.
LiveTable::Look LiveTable::look(const std::string &tenant, bool capped) {
    pg::call([&] { slot_getallattrs(seen_); });
    if (value(kStatus) != queued_ || (!only_locked_.empty() && only_locked_.count(id()) > 0))
        return Look::passed;
    if (!refused_.empty() && refused_.count(id()) > 0)
        return Look::unavailable;
    bool const has_key = !is_null(kConcurrencyKey);
    bool paused = false;
    if (!types_.any()) {
        std::string_view const type = pg::text_of(value(kType));
        paused = types_.pauses(type);
        // A job with a key is not parked when its type is paused, so this claim does not lock it.
        if (!paused && !types_.accepts(type))
            return Look::unavailable;
        if (paused && has_key)
            return Look::paused;
    }
    if (direct_ && !paused && !has_key && untouched(seen_))
        if (TM_Result const updated = update(capped, false); updated != TM_BeingModified)
            return updated == TM_Ok ? Look::taken : Look::unavailable;
    if (is_held(seen_) || !lock())
        return Look::unavailable;
    if (paused)
        return park();
    if (has_key)
        if (Look const key = look_at_key(tenant); key != Look::taken)
            return key;
    if (direct_)
        return update(capped, true) == TM_Ok ? Look::taken : Look::unavailable;
    only_locked_.insert(id()); // until SQL updates the job, a second walk along the lane would see it again
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
    return Look::unavailable;
}

LiveTable::Look LiveTable::park() {
    to_park_.push_back(id());
    only_locked_.insert(id());
    return Look::parked;
}

// Locks the version in seen_, unless another transaction has it or has changed it since.
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
    auto const start = [&] { // dead entries count as looked at, because thousands may stand in a row
        reader_.start(tenant, key, entries, true);
    };
    start();
    for (core::LaneKey seen = core::kFirstKey; key != core::kLastKey;) {
        pg::check_interrupts();
        std::optional<core::LaneKey> const entry = reader_.next();
        if (!entry)
            key = core::kLastKey;
        else if (entries <= 0 && *entry != seen) // never between the entries of one job
            return *entry;
        else if (key = skip_ranges.next(*entry); key != *entry)
            start();
        else if (--entries; reader_.peek(seen_) && is_free())
            found.push_back(key);
        seen = key;
    }
    return key;
}

// Whether the row in seen_ is a job that a claim could take now.
bool LiveTable::is_free() {
    bool null = false;
    return pg::call([&] { return slot_getattr(seen_, kStatus, &null); }) == queued_ && is_unclaimed(seen_);
}

// Updates the version in seen_. wait: false when no transaction, this one included, has locked it.
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

// The index job_live_running gets an entry for the job, so this update is not HOT. Therefore the job leaves its
// lane while it runs, or the update would add an entry to the lane index too.
void LiveTable::fill_running() {
    change(kRunningSince, TimestampTzGetDatum(stamp_.at), false);
    change(kRunningPosition, value(kPosition), is_null(kPosition));
    change(kPosition, 0, true);
}

// An update is not HOT when the page had no room for the new version, or when an indexed column has changed. Then
// each index that covers the row needs an entry. (After a HOT update only summarizing indexes do.)
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
