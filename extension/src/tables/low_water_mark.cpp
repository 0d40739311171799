// The low-water mark of an index (see low_water_mark.hpp). A dirty snapshot costs nothing, and tells what
// matters: an entry that it does not show belongs to a row that a commit, or this transaction, moved away, or
// that a rollback took back. Such an entry is dead for good, unless this transaction rolls back. As soon as no
// snapshot sees the row, the entry is marked as dead and scans pass it. But while a transaction holds an old
// snapshot, dead entries pile up. Then the time behind them is remembered as the low-water mark, and the next
// look starts there: each entry is passed once. That hides nothing for long, because the entries below the mark
// are looked at again and again. What came late (a job that was due before its row was written, one that a
// rollback gave back, a clock that was set back) is found by that look, and its time becomes the new mark.
#include "tables/low_water_mark.hpp"

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
    Look(Oid schema, const Index &index, TimestampTz until)
        : until_(until),
          scan_(open_for_scan(schema, index.table, index.name), 2, pg::IndexScan::Sees::uncommitted) {
        scan_.want_entries(); // the time is read from the entry, since a dead row has none
    }

    // Passes dead entries from that time on, up to `most` of them. True when it came to a row, or to the last
    // entry.
    bool run(TimestampTz from, int64 most) {
        passed_to_ = from;
        scan_.start({{1, BTGreaterEqualStrategyNumber, F_TIMESTAMPTZ_GE, TimestampTzGetDatum(from)},
                     {1, BTLessEqualStrategyNumber, F_TIMESTAMPTZ_LE, TimestampTzGetDatum(until_)}});
        for (int64 looked_at = 0; looked_at < most; ++looked_at) {
            if (!scan_.next_entry())
                return true;
            TimestampTz const time = DatumGetTimestampTz(scan_.entry(1));
            if (scan_.fetch(scan_.slot())) {
                found_ = time;
                return true;
            }
            passed_to_ = time + 1;
        }
        return false;
    }

    std::optional<TimestampTz> found() const { return found_; }
    TimestampTz passed_to() const { return found_.value_or(passed_to_); }
    void finish() { scan_.close(); }

private:
    TimestampTz until_, passed_to_ = DT_NOBEGIN;
    pg::IndexScan scan_;
    std::optional<TimestampTz> found_;
};

// For an index that begins with many dead entries.
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
