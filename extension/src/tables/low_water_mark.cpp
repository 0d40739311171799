// The low-water mark of an index (see low_water_mark.hpp). A look reads the index with a dirty snapshot. An entry
// whose row that snapshot does not see is dead for good, unless this transaction rolls back: a commit or this
// transaction has changed or deleted the row, or a rollback has undone it. Once no snapshot sees the row, a scan marks
// the entry and later scans pass over it. But while a transaction holds an old snapshot, unmarked dead entries pile
// up. Then the time behind them is stored as the low-water mark, and the next look starts there. This hides no row
// for long: after one to ten seconds a full look reads the index from its first entry again. It finds a row that came
// below the mark (a job that was due before its row was written or that a rollback gave back, or any row after the
// clock was set back), and the time of that row becomes the new mark.
#include "tables/low_water_mark.hpp"

#include "tables/live_table.hpp"
#include "tables/open_relation.hpp"

namespace fairq::tables {

namespace {

using shared::queue_state::MarkedIndex;

constexpr int kAlwaysLookedAt = 32; // entries that each look reads from the first one on: some microseconds
constexpr int64 kLookAgain = USECS_PER_SEC, kLookAgainAtLast = 10 * USECS_PER_SEC;
constexpr int64 kPartOfTime = 100; // a full look is repeated after 100 times the time that it took

struct Index {
    const char *table, *name;
    MarkedIndex marked;
};

class Look {
public:
    Look(Oid schema, const Index &index, TimestampTz until)
        : until_(until),
          scan_(open_for_scan(schema, index.table, index.name), 2, pg::IndexScan::Sees::uncommitted) {
        scan_.want_entries(); // the time is read from the entry, since a dead row has none
    }

    // Passes dead entries from the time `from` on, at most `most` of them. True when the look has found a row or
    // has passed the last entry.
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

// The look at an index that begins with many dead entries: from the low-water mark on, or a full look.
void look_further(Look &look, Oid queue, MarkedIndex index) {
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
    return first(schema, {"job_live", "job_live_due", MarkedIndex::due_jobs}, until);
}

std::optional<TimestampTz> first_advancing_run(Oid schema) {
    return first(schema, {"pipeline_runs", "pipeline_runs_advancing", MarkedIndex::advancing_runs}, DT_NOEND);
}

std::optional<TimestampTz> first_lease(Oid schema, TimestampTz until) {
    return first(schema, {"job_leases", "job_leases_locked_at", MarkedIndex::leases}, until);
}

} // namespace fairq::tables
