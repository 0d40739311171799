// What housekeeping, or the claim of a job, could not do because of an error: an expression index, a trigger, a CHECK or a foreign key of a
// user's refuses it. Housekeeping goes on with all the rest, notes the error at the job, run or lease that failed, and
// passes over that one for a time that grows with each failure.
#pragma once

#include "core/budget.hpp"
#include "pg/clock.hpp"
#include "queue/internal.hpp"

// Whether housekeeping may touch this row, for a statement; `any` and `now` are parameters: whether anything is noted
// at all, and the time. A note from the future counts for nothing: the clock was set back.
#define FAIRQ_NOT_PASSED_OVER(kind, id, any, now)                                                            \
    "NOT (" any " AND EXISTS (SELECT FROM @housekeeping_failures f WHERE f.kind = '" kind "' AND f.id = " id \
    " AND f.failed_at <= " now " AND f.retry_at > " now "))"

namespace fairq::queue {

const char *name_of(Chore chore);

enum class Subject { job, run, lease };

// Whether anything is noted. If nothing is, which is the rule, no statement need look.
bool any_failures();
// Notes that the step failed for each of these, and tells the log about the first one that was not known to fail. Never
// waits, and raises nothing but what ends the caller's call.
void note_failure(Chore chore, Subject subject, const Ids &ids, const pg::ErrorText &error);
// The jobs whose last claim was refused, and which no claim tries yet.
Ids refused_claims();
// They have succeeded. Part of the work's own subtransaction.
void forget_failures(Subject subject, const Ids &ids);
// Deletes some notes of jobs, runs and leases that do not wait for housekeeping any more.
void forget_ended();
// A step as a whole failed, for no job in particular: for the log and the metrics.
void report_failure(Chore chore, const pg::ErrorText &error);

// The work of one step that rides on a call.
core::Budget budget_of_call(int rows, int first = 50);
// Of a call that only does this work: as much time as the caller gives it.
core::Budget budget_of_caller(int rows, int first = 50);
core::Budget budget_of_tick(int rows, int first = 50);

// Moves rows in a subtransaction. If that fails, in halves, and so on: in the end those that cannot be moved stand alone.
class Apart {
public:
    Apart(Chore chore, Subject subject, core::Budget &budget)
        : chore_(chore), subject_(subject), budget_(budget) {}

    // move(rows) returns how many it has moved; id_of(row). Returns the sum. When the budget is spent, and at least one
    // row has been found that fails, the rest is left to the next call.
    template <class Row, class Move, class IdOf>
    int64 run(std::vector<Row> rows, Move &&move, IdOf &&id_of) {
        if (rows.empty() || (found_ && budget_.spent(pg::monotonic_now())))
            return 0;
        int64 moved = 0;
        std::optional<pg::ErrorText> const error = pg::try_subtransaction([&] {
            forget(rows, id_of); // first: what move() tells its caller stays true
            moved = move(rows);
        });
        if (!error)
            return moved;
#ifdef FAIRQ_TEST_FAILING_AS_A_WHOLE
        return 0;
#endif
        if (rows.size() == 1) {
            found_ = true;
            error_ = error_ ? error_ : error;
            note_failure(chore_, subject_, {id_of(rows[0])}, *error);
            return 0;
        }
        auto const middle = rows.begin() + static_cast<std::ptrdiff_t>(rows.size() / 2);
        moved = run(std::vector<Row>(rows.begin(), middle), move, id_of);
        return moved + run(std::vector<Row>(middle, rows.end()), move, id_of);
    }

    const std::optional<pg::ErrorText> &error() const {
        return error_;
    } // the first one

private:
    template <class Row, class IdOf>
    void forget(const std::vector<Row> &rows, IdOf &&id_of) {
        if (!any_failures())
            return;
        Ids ids;
        for (Row const &row : rows)
            ids.push_back(id_of(row));
        forget_failures(subject_, ids);
    }

    Chore chore_;
    Subject subject_;
    core::Budget &budget_;
    bool found_ = false;
    std::optional<pg::ErrorText> error_;
};

inline int64 same(int64 id) {
    return id;
}

} // namespace fairq::queue
