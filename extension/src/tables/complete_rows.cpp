// Moving jobs to history (see complete_rows.hpp). It takes its locks in the order of the SQL statement: tables
// first, then rows by their ids.
#include "tables/complete_rows.hpp"

#include "pg/batch_insert.hpp"
#include "pg/errors.hpp"
#include "tables/claimed_rows.hpp"
#include "tables/history.hpp"
#include "tables/live_table.hpp"
#include "tables/open_relation.hpp"

namespace fairq::tables {

namespace {

// The columns of job_history and its partitions: those of job_live up to last_error, then finished_at.
constexpr int kHistoryColumns = 21;

constexpr std::array<ShapeColumn, kHistoryColumns> history_columns() {
    std::array<ShapeColumn, kHistoryColumns> columns{};
    for (size_t i = 0; i < columns.size(); ++i) {
        columns[i] = kLiveColumns[i];
        if (i != kQueue - 1)
            columns[i].default_value = nullptr;
        columns[i].identity = '\0';
    }
    columns[kUpdatedAt - 1].name = "finished_at";
    return columns;
}

constexpr std::array<ShapeColumn, kHistoryColumns> kColumnsOfHistory = history_columns();
constexpr const char *kChecks[] = {"(status >= 'completed'::@job_status)"};
constexpr TableShape shape_of_history(char kind) {
    return {kind, kColumnsOfHistory.data(), kHistoryColumns, kChecks, std::size(kChecks), true};
}
constexpr TableShape kHistory = shape_of_history(RELKIND_PARTITIONED_TABLE);
constexpr TableShape kPartition = shape_of_history(RELKIND_RELATION);
constexpr uint64 kNear = 32;

// Locks the partition as an INSERT would. While this session waits for the lock, another partition may take the
// place of this one: so it looks again until nothing has changed.
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

// Ids that are so close together are found by one descent of the index: to pass over the entries between them costs
// less than another descent.
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
        completed_ = status_datum(schema, "completed"); // looked up under the table's lock
        if (is_as_made(live_, kLiveShape) && is_as_made(history_, kHistory))
            partition_ = pg::call([&] { return open_partition(history_, now_); });
    }

    bool possible() const { return partition_ != nullptr && is_as_made(partition_, kPartition); }

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
        if (scan_)
            scan_->close();
        pg::call([&] {
            ExecDropSingleTupleTableSlot(job_);
            PopActiveSnapshot();
            CommandCounterIncrement();
        });
    }

    // Moves the job from the place where this session's claim has left its row; false when it is elsewhere now.
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

    // A job may have several entries; at most one of them leads to a version that the snapshot sees.
    void move(Id first, Id end, pg::BatchInsert &batch, std::vector<CompletedJob> &completed) {
        if (!scan_) {
            scan_.emplace(open_for_scan(schema_, "job_live", "job_live_pkey"), 2,
                          pg::IndexScan::Sees::active);
            scan_->want_entries();
        }
        scan_->start({{1, BTGreaterEqualStrategyNumber, F_INT8GE, Int64GetDatum(*first)},
                      {1, BTLessEqualStrategyNumber, F_INT8LE, Int64GetDatum(*(end - 1))}});
        while (first != end && scan_->next_entry()) {
            int64 const id = DatumGetInt64(scan_->entry(1));
            first = std::lower_bound(first, end, id);
            if (*first != id || !scan_->fetch(job_) || !pg::call([&] { return remove(); }))
                continue;
            completed.push_back(job());
            copy_into(batch);
            ++first;
        }
    }

    bool holds(int64 id) {
        bool null = false;
        return DatumGetInt64(slot_getattr(job_, kId, &null)) == id;
    }

    bool holds_token() {
        bool null = false;
        Datum const token = slot_getattr(job_, kLockToken, &null);
        return !null && DatumGetInt64(token) == token_;
    }

    // Deletes the version in job_. When another transaction has changed the row since the snapshot, this deletes the
    // newest version, unless the lease does not hold the job any more.
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
                          std::string(pg::text_of(value(kQueue))),
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

    // Copies the row as it is on its page, up to the last column of job_history, for a third of the price of taking
    // it apart and putting it together. Only two columns change; they have a fixed length and are never NULL. (A
    // payload that is stored out of line belongs to job_live; the insertion fetches it and stores it again.)
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
    Relation live_, history_, partition_ = nullptr;
    Snapshot snapshot_;
    CommandId command_;
    std::optional<pg::IndexScan> scan_; // opened when a job has to be found by the primary key
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
