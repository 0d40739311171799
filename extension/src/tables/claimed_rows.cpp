// The rows of the last claim (see claimed_rows.hpp).
#include "tables/claimed_rows.hpp"

namespace fairq::tables::claimed_rows {

namespace {

struct Row {
    int64 id;
    ItemPointerData place;
};
constexpr size_t kMost = 1000; // a larger claim's further jobs are found by the primary key

Oid table_of_claim = InvalidOid;
int64 token_of_claim = 0;
Row rows[kMost]; // by id
size_t count = 0;

bool is_before(const Row &row, int64 id) {
    return row.id < id;
}

} // namespace

void remember(Oid table, int64 lock_token, const std::vector<ClaimedJob> &jobs) {
    table_of_claim = table;
    token_of_claim = lock_token;
    count = std::min(jobs.size(), kMost);
    auto const row_of = [](const ClaimedJob &job) { return Row{job.id, job.row}; };
    std::transform(jobs.begin(), jobs.begin() + static_cast<std::ptrdiff_t>(count), rows, row_of);
    std::sort(rows, rows + count, [](const Row &a, const Row &b) { return a.id < b.id; });
}

ItemPointerData find(Oid table, int64 lock_token, int64 id, BlockNumber blocks) {
    ItemPointerData place;
    ItemPointerSetInvalid(&place);
    if (lock_token != token_of_claim || table != table_of_claim)
        return place;
    Row const *const row = std::lower_bound(rows, rows + count, id, is_before);
    if (row != rows + count && row->id == id && ItemPointerIsValid(&row->place) &&
        ItemPointerGetBlockNumber(&row->place) < blocks)
        place = row->place;
    return place;
}

} // namespace fairq::tables::claimed_rows
