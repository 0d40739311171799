// Pending counts of the transaction in progress: one entry for each nesting level that changed something. The
// callbacks run where nothing may raise, so the stack is a fixed array; deeper savepoints make the counts
// unknown, not wrong.
#include "pg/counters.hpp"

namespace fairq::pg::counters {

namespace {

constexpr int kLevels = 32;

struct Level {
    int nesting;
    StatusCounts changes;
};

Level levels[kLevels];
int depth = 0;
Oid counted_table = InvalidOid;
bool unknown = false; // more than we can keep track of: two queues, too many savepoints

void merge(StatusCounts &into, const StatusCounts &from) {
    for (int kind = 0; kind < 2; ++kind)
        for (int status = 0; status < kCountedStatuses; ++status)
            into.by_status[kind][status] += from.by_status[kind][status];
}

void reset() {
    depth = 0;
    unknown = false;
    counted_table = InvalidOid;
}

void at_end_of_transaction(XactEvent event, void *) {
    if (event == XACT_EVENT_COMMIT && OidIsValid(counted_table)) {
        if (unknown)
            shared_state::forget_counts(counted_table);
        else
            for (int i = 0; i < depth; ++i)
                shared_state::add(counted_table, levels[i].changes);
    }
    // A prepared transaction may end either way, in any session: the counts are unknown from here on.
    if (event == XACT_EVENT_PREPARE && OidIsValid(counted_table))
        shared_state::forget_counts(counted_table);
    if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT || event == XACT_EVENT_PREPARE)
        reset();
}

void at_end_of_savepoint(SubXactEvent event, SubTransactionId, SubTransactionId, void *) {
    int const nesting = GetCurrentTransactionNestLevel();
    if (depth == 0 || levels[depth - 1].nesting < nesting)
        return;
    if (event == SUBXACT_EVENT_ABORT_SUB) {
        --depth;
    } else if (event == SUBXACT_EVENT_COMMIT_SUB) {
        levels[depth - 1].nesting = nesting - 1;
        if (depth > 1 && levels[depth - 2].nesting == nesting - 1) {
            merge(levels[depth - 2].changes, levels[depth - 1].changes);
            --depth;
        }
    }
}

} // namespace

void install_callbacks() {
    RegisterXactCallback(at_end_of_transaction, nullptr);
    RegisterSubXactCallback(at_end_of_savepoint, nullptr);
}

std::optional<StatusCounts> pending() {
    if (depth == 0)
        return std::nullopt;
    StatusCounts sum;
    for (int i = 0; i < depth; ++i)
        merge(sum, levels[i].changes);
    return sum;
}

void moved(Oid table, int from, int to, int64 jobs, int64 load_test) {
    if (jobs == 0 || !shared_state::available())
        return;
    int const nesting = GetCurrentTransactionNestLevel();
    if (depth == 0 || levels[depth - 1].nesting != nesting) {
        if (depth == kLevels) {
            counted_table = table;
            unknown = true;
            return;
        }
        levels[depth++] = Level{nesting, {}};
    }
    unknown = unknown || (OidIsValid(counted_table) && counted_table != table);
    counted_table = table;
    int64 const amounts[2] = {jobs, load_test};
    for (int kind = 0; kind < 2; ++kind) {
        if (from >= 0)
            levels[depth - 1].changes.by_status[kind][from] -= amounts[kind];
        if (to >= 0)
            levels[depth - 1].changes.by_status[kind][to] += amounts[kind];
    }
}

} // namespace fairq::pg::counters
