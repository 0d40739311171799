// The low-water mark of an index (see low_water_mark.hpp). A dirty snapshot costs nothing, and tells what matters: an entry
// that it does not show belongs to a row that a commit (or we) moved away, or that a rollback took back. Such
// an entry is dead for good, but for what we may yet roll back; it is marked so, and scans pass it, as soon
// as no snapshot sees the row. While somebody holds an old one, though, the dead entries pile up. Then the
// place behind them is remembered, and the next look starts there: each is passed once. That hides nothing
// for long, because the whole front is looked at again and again: what came into it late (a job that was due
// before its row was written, one that a rollback gave back, a clock that was set back) is found by that
// look, and its time becomes the new place.
#include "tables/low_water_mark.hpp"

#include "tables/live_columns.hpp"
#include "tables/live_table.hpp"
#include "tables/open_relation.hpp"

namespace fairq::tables {

namespace {

constexpr int kAlwaysLookedAt = 32; // entries: some microseconds
constexpr int64 kLookAgain = USECS_PER_SEC, kLookAgainAtLast = 10 * USECS_PER_SEC;
constexpr int64 kPartOfTime = 100; // of the time, a hundredth goes into looking again

struct Index {
    const char *table, *name;
    shared::queue_state::MarkedIndex marked;
};

class Look {
public:
    Look(Oid schema, const Index &index, TimestampTz until) : until_(until) {
        dirty_.snapshot_type = SNAPSHOT_DIRTY;
        table_ = open_table(schema, index.table, AccessShareLock);
        index_ = open_index(schema, index.name, AccessShareLock);
        pg::call([&] {
            slot_ = table_slot_create(table_, nullptr);
            scan_ = pg::compat::index_beginscan(table_, index_, &dirty_, 2);
            scan_->xs_want_itup = true; // the time, also of a dead row
        });
    }

    // Passes dead entries from that time on, up to so many of them. True: it came to an end, at a row or at
    // the last entry.
    bool run(TimestampTz from, int64 most) {
        passed_to_ = from;
        start();
        for (int64 looked_at = 0; looked_at < most; ++looked_at) {
            pg::check_interrupts();
            if (!pg::call([&] { return next(); }) || found_)
                return true;
        }
        return false;
    }

    std::optional<TimestampTz> found() const { return found_; }
    TimestampTz passed_to() const { return found_.value_or(passed_to_); }

    void finish() {
        pg::call([&] {
            index_endscan(scan_);
            ExecDropSingleTupleTableSlot(slot_);
            index_close(index_, AccessShareLock);
            table_close(table_, AccessShareLock);
        });
    }

private:
    void start() {
        pg::call([&] {
            ScanKeyData keys[2];
            ScanKeyInit(&keys[0], 1, BTGreaterEqualStrategyNumber, F_TIMESTAMPTZ_GE,
                        TimestampTzGetDatum(passed_to_));
            ScanKeyInit(&keys[1], 1, BTLessEqualStrategyNumber, F_TIMESTAMPTZ_LE,
                        TimestampTzGetDatum(until_));
            index_rescan(scan_, keys, 2, nullptr, 0);
        });
    }

    // Runs inside call(). False: there is no further entry.
    bool next() {
        if (index_getnext_tid(scan_, ForwardScanDirection) == nullptr)
            return false;
        bool null = false;
        TimestampTz const time =
            DatumGetTimestampTz(index_getattr(scan_->xs_itup, 1, scan_->xs_itupdesc, &null));
        if (index_fetch_heap(scan_, slot_))
            found_ = time;
        else
            passed_to_ = time + 1;
        return true;
    }

    TimestampTz until_, passed_to_ = DT_NOBEGIN;
    SnapshotData dirty_{};
    Relation table_, index_;
    TupleTableSlot *slot_;
    IndexScanDesc scan_;
    std::optional<TimestampTz> found_;
};

// Behind a front of many dead entries.
void look_further(Look &look, Oid queue, shared::queue_state::MarkedIndex index) {
    shared::queue_state::LowWaterMark mark = shared::queue_state::low_water_mark(queue, index);
    TimestampTz const now = GetCurrentTimestamp();
    bool const again = now >= mark.look_again_at || mark.look_again_at > now + kLookAgainAtLast;
    look.run(again ? DT_NOBEGIN : mark.to, INT64_MAX);
    if (!again && look.passed_to() == mark.to)
        return;
    mark.to = look.passed_to();
    if (again) {
        TimestampTz const end = GetCurrentTimestamp();
        mark.look_again_at = end + std::clamp((end - now) * kPartOfTime, kLookAgain, kLookAgainAtLast);
    }
    shared::queue_state::set_low_water_mark(queue, index, mark);
}

std::optional<TimestampTz> first(Oid schema, const Index &index, TimestampTz until) {
    Look look(schema, index, until);
    if (!look.run(DT_NOBEGIN, kAlwaysLookedAt))
        look_further(look, live_table_oid(schema), index.marked);
    look.finish();
    return look.found();
}

} // namespace

std::optional<TimestampTz> first_due_job(Oid schema, TimestampTz until) {
    return first(schema, {"job_live", "job_live_due", shared::queue_state::MarkedIndex::due_jobs}, until);
}

std::optional<TimestampTz> first_advancing_run(Oid schema) {
    return first(
        schema,
        {"pipeline_runs", "pipeline_runs_advancing", shared::queue_state::MarkedIndex::advancing_runs},
        DT_NOEND);
}

std::optional<TimestampTz> first_lease(Oid schema, TimestampTz until) {
    return first(schema, {"job_leases", "job_leases_locked_at", shared::queue_state::MarkedIndex::leases},
                 until);
}

} // namespace fairq::tables
