// The pending counts of the transaction in progress: a stack with one entry for each nesting level that
// changed something. The stack is a fixed array; deeper savepoints make the counts unknown, not wrong.
#include "shared/counters.hpp"

#include "pg/transaction_end.hpp"

namespace fairq::shared::counters {

namespace {

constexpr size_t kLevels = 32;

// The members have initial values: otherwise a constructor would run when the library is loaded.
struct Level {
    int nesting = 0;
    StatusCounts changes = {};
};

Level levels[kLevels];
size_t depth = 0;
Oid counted_table = InvalidOid;
bool unknown = false; // the transaction changes two queues, or nests savepoints too deep for the stack

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

void add_to_shared_counts() {
    if (unknown)
        queue_state::forget_counts(counted_table);
    else
        for (size_t i = 0; i < depth; ++i)
            queue_state::add(counted_table, levels[i].changes);
}

void at_end(pg::TransactionEvent event) {
    if (event == pg::TransactionEvent::commit && OidIsValid(counted_table))
        add_to_shared_counts();
    if (event == pg::TransactionEvent::prepare && OidIsValid(counted_table))
        queue_state::forget_counts(counted_table);
    if (is_over(event)) {
        reset();
        return;
    }
    depth = follow_savepoint(event, levels, depth);
    if (depth > 1 && levels[depth - 2].nesting == levels[depth - 1].nesting) {
        merge(levels[depth - 2].changes, levels[depth - 1].changes);
        --depth;
    }
}

} // namespace

void install_callbacks() {
    pg::on_transaction_end<at_end>();
}

std::optional<StatusCounts> pending() {
    if (depth == 0)
        return std::nullopt;
    StatusCounts sum;
    for (size_t i = 0; i < depth; ++i)
        merge(sum, levels[i].changes);
    return sum;
}

void moved(Oid table, int from, int to, int64 jobs, int64 load_test) {
    if (jobs == 0 || !queue_state::available())
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

} // namespace fairq::shared::counters
