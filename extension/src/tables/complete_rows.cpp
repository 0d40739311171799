// Moving jobs to history (see complete_rows.hpp). The order of locks is that of the SQL statement: tables, then
// rows by their ids.
#include "tables/complete_rows.hpp"

#include "pg/batch_insert.hpp"
#include "tables/claimed_rows.hpp"
#include "tables/live_table.hpp"
#include "tables/open_relation.hpp"

namespace fairq::tables {

namespace {

constexpr int kHistoryColumns = 20; // those of job_live up to last_error, then finished_at
constexpr int kFinishedAt = kUpdatedAt;
constexpr int kHistoryChecks = 1;
constexpr uint64 kNear = 32;

// The partition that takes this moment; none when there is no such thing.
Oid partition_at(Relation history, TimestampTz now) {
    PartitionKey const key = RelationGetPartitionKey(history);
    PartitionDesc const partitions = RelationGetPartitionDesc(history, true);
    PartitionBoundInfo const bounds = partitions->boundinfo;
    if (key->strategy != PARTITION_STRATEGY_RANGE || key->partnatts != 1 ||
        key->partattrs[0] != kFinishedAt || bounds == nullptr)
        return InvalidOid;
    Datum value = TimestampTzGetDatum(now);
    bool equal = false;
    int const bound =
        partition_range_datum_bsearch(key->partsupfunc, key->partcollation, bounds, 1, &value, &equal);
    int const found = bounds->indexes[bound + 1];
    int const index = found >= 0 ? found : bounds->default_index;
    return index >= 0 ? partitions->oids[index] : InvalidOid;
}

// Locked as an INSERT would. A partition may come while we wait for the lock of another one: then we look
// again.
Relation open_partition(Relation history, TimestampTz now) {
    for (Oid found = partition_at(history, now); OidIsValid(found);) {
        LockRelationOid(found, RowExclusiveLock);
        Oid const still = partition_at(history, now);
        if (still == found)
            return table_open(found, NoLock);
        UnlockRelationOid(found, RowExclusiveLock);
        found = still;
    }
    return nullptr;
}

// Whether the columns are job_live's first ones: then values go from one row into the other as they are.
bool takes_rows_of(Relation partition, Relation live) {
    TupleDesc const to = RelationGetDescr(partition), from = RelationGetDescr(live);
    if (to->natts != kHistoryColumns || to->constr->num_check != kHistoryChecks)
        return false;
    for (int i = 0; i < kHistoryColumns; ++i) {
        Form_pg_attribute const column = TupleDescAttr(to, i), source = TupleDescAttr(from, i);
        bool const last = i + 1 == kFinishedAt;
        if (column->attisdropped || column->atttypid != source->atttypid ||
            (column->attnotnull && !source->attnotnull) ||
            strcmp(NameStr(column->attname), last ? "finished_at" : NameStr(source->attname)) != 0)
            return false;
    }
    return true;
}

// Ids so close together are looked up by one descent of the index: those between them cost less than another.
using Id = std::vector<int64>::const_iterator;
Id end_of_near(Id first, Id end) {
    auto const far = [](int64 id, int64 next) {
        return static_cast<uint64>(next) - static_cast<uint64>(id) > kNear;
    };
    Id const last = std::adjacent_find(first, end, far);
    return last == end ? end : last + 1;
}

class Completion {
public:
    Completion(Oid schema, int64 lock_token, TimestampTz now)
        : schema_(schema), token_(lock_token), now_(now) {
        pg::refuse_read_only("complete_jobs()");
        live_ = open_table(schema, "job_live", RowExclusiveLock);
        history_ = open_table(schema, "job_history", RowExclusiveLock);
        completed_ = status_datum(schema, "completed");
        pg::call([&] {
            bool const plain = pg::fires_nothing(live_) && history_->trigdesc == nullptr &&
                               history_->rd_rules == nullptr && !history_->rd_rel->relrowsecurity;
            partition_ = plain ? open_partition(history_, now_) : nullptr;
        });
    }

    bool possible() const {
        return partition_ != nullptr && pg::fires_nothing(partition_) && takes_rows_of(partition_, live_);
    }

    std::vector<CompletedJob> run(const std::vector<int64> &sorted_ids) {
        begin();
        pg::BatchInsert batch(partition_, command_);
        std::vector<CompletedJob> completed;
        completed.reserve(sorted_ids.size());
        for (Id first = sorted_ids.begin(), end = first; first != sorted_ids.end(); first = end) {
            pg::check_interrupts();
            end = first + 1;
            if (move_claimed(*first, batch, completed))
                continue;
            end = end_of_near(first, sorted_ids.end());
            move(first, end, batch, completed);
        }
        batch.finish();
        end();
        return completed;
    }

    void close() {
        pg::call([&] {
            if (partition_ != nullptr)
                table_close(partition_, NoLock);
            table_close(history_, NoLock);
            table_close(live_, NoLock);
        });
    }

private:
    void begin() {
        pg::call([&] {
            CommandCounterIncrement();
            PushActiveSnapshot(GetTransactionSnapshot());
            snapshot_ = GetActiveSnapshot();
            command_ = GetCurrentCommandId(true);
            job_ = table_slot_create(live_, nullptr);
            blocks_ = RelationGetNumberOfBlocks(live_);
        });
    }

    void end() {
        pg::call([&] {
            if (scan_ != nullptr) {
                index_endscan(scan_);
                index_close(index_, NoLock);
            }
            ExecDropSingleTupleTableSlot(job_);
            PopActiveSnapshot();
            CommandCounterIncrement();
        });
    }

    // Where this session has claimed it, if it is still there.
    bool move_claimed(int64 id, pg::BatchInsert &batch, std::vector<CompletedJob> &completed) {
        ItemPointerData row = claimed_rows::find(RelationGetRelid(live_), token_, id, blocks_);
        bool const moved =
            ItemPointerIsValid(&row) && pg::call([&] {
                return table_tuple_fetch_row_version(live_, &row, snapshot_, job_) && holds(id) && remove();
            });
        if (moved) {
            completed.push_back(job());
            copy_into(batch);
        }
        return moved;
    }

    // One job may have several entries; one of them at most leads to a version that the snapshot sees.
    void move(Id first, Id end, pg::BatchInsert &batch, std::vector<CompletedJob> &completed) {
        if (index_ == nullptr)
            index_ = open_index(schema_, "job_live_pkey", RowExclusiveLock);
        pg::call([&] { start(*first, *(end - 1)); });
        for (std::optional<int64> id; first != end && (id = next_id());) {
            pg::check_interrupts();
            first = std::lower_bound(first, end, *id);
            if (*first != *id || !pg::call([&] { return fetch() && remove(); }))
                continue;
            completed.push_back(job());
            copy_into(batch);
            ++first;
        }
    }

    void start(int64 first, int64 last) {
        if (scan_ == nullptr) {
            scan_ = pg::compat::index_beginscan(live_, index_, snapshot_, 2);
            scan_->xs_want_itup = true;
        }
        ScanKeyData keys[2];
        ScanKeyInit(&keys[0], 1, BTGreaterEqualStrategyNumber, F_INT8GE, Int64GetDatum(first));
        ScanKeyInit(&keys[1], 1, BTLessEqualStrategyNumber, F_INT8LE, Int64GetDatum(last));
        index_rescan(scan_, keys, 2, nullptr, 0);
    }

    // Of the next entry, dead or alive.
    std::optional<int64> next_id() {
        if (!pg::call([&] { return index_getnext_tid(scan_, ForwardScanDirection) != nullptr; }))
            return std::nullopt;
        bool null = false;
        return DatumGetInt64(index_getattr(scan_->xs_itup, 1, scan_->xs_itupdesc, &null));
    }

    bool fetch() { return index_fetch_heap(scan_, job_); }

    bool holds(int64 id) {
        bool null = false;
        return DatumGetInt64(slot_getattr(job_, kId, &null)) == id;
    }

    bool holds_token() {
        bool null = false;
        Datum const token = slot_getattr(job_, kLockToken, &null);
        return !null && DatumGetInt64(token) == token_;
    }

    // Deletes the version in job_; when somebody has changed it since our snapshot, the newest one, unless
    // that has lost the lease.
    bool remove() {
        while (holds_token()) {
            ItemPointerData tid = job_->tts_tid;
            TM_FailureData failure;
            TM_Result const deleted =
                table_tuple_delete(live_, &tid, command_, snapshot_, InvalidSnapshot, true, &failure, false);
            if (deleted != TM_Updated)
                return deleted == TM_Ok;
            if (table_tuple_lock(live_, &tid, snapshot_, job_, command_, LockTupleExclusive, LockWaitBlock,
                                 TUPLE_LOCK_FLAG_FIND_LAST_VERSION, &failure) != TM_Ok)
                return false;
        }
        return false;
    }

    CompletedJob job() {
        pg::call([&] { slot_getsomeattrs(job_, kHistoryColumns); });
        bool const *const nulls = job_->tts_isnull;
        CompletedJob done{DatumGetInt64(value(kId)),
                          pg::text_of(value(kType)) == kLoadTest,
                          std::string(pg::text_of(value(kTenant))),
                          std::nullopt,
                          0,
                          0};
        if (!nulls[kConcurrencyKey - 1])
            done.key = pg::text_of(value(kConcurrencyKey));
        if (!nulls[kRunId - 1]) {
            done.run = DatumGetInt64(value(kRunId));
            done.stage = DatumGetInt32(value(kStage));
        }
        return done;
    }
    Datum value(Column column) const { return job_->tts_values[column - 1]; }

    // The row as it stands on its page, up to the last of history's columns: a third of the price of taking
    // it apart and putting it together. Only two columns change, which are of fixed length and never NULL. (A
    // payload out of line belongs to job_live: the insertion brings it back and stores it again.)
    void copy_into(pg::BatchInsert &batch) {
        Assert(job_->tts_nvalid == kHistoryColumns);
        HeapTupleData row = *ExecFetchSlotHeapTuple(job_, false, nullptr);
        row.t_len = row.t_data->t_hoff + reinterpret_cast<HeapTupleTableSlot *>(job_)->off;
        static_assert(kStatus == kPayload + 1);
        char const *const payload = DatumGetPointer(value(kPayload));
        size_t const behind_payload =
            static_cast<size_t>(payload + VARSIZE_ANY(payload) - reinterpret_cast<char *>(row.t_data));
        HeapTupleHeader const copy = batch.add_copy(row);
        HeapTupleHeaderSetNatts(copy, kHistoryColumns);
        Oid const status = DatumGetObjectId(completed_);
        memcpy(reinterpret_cast<char *>(copy) + INTALIGN(behind_payload), &status, sizeof status);
        memcpy(reinterpret_cast<char *>(copy) + row.t_len - sizeof now_, &now_, sizeof now_);
    }

    Oid schema_;
    Datum completed_;
    int64 token_;
    TimestampTz now_;
    Relation live_, history_, partition_;
    Snapshot snapshot_;
    CommandId command_;
    Relation index_ = nullptr;
    IndexScanDesc scan_ = nullptr; // once a job has to be looked up
    TupleTableSlot *job_;
    BlockNumber blocks_; // of the live table
};

} // namespace

std::optional<std::vector<CompletedJob>> complete_directly(Oid schema, const std::vector<int64> &sorted_ids,
                                                           int64 lock_token, TimestampTz now) {
    if (IsolationUsesXactSnapshot())
        return std::nullopt;
    Completion completion(schema, lock_token, now);
    std::optional<std::vector<CompletedJob>> completed;
    if (completion.possible())
        completed = completion.run(sorted_ids);
    completion.close();
    return completed;
}

} // namespace fairq::tables
