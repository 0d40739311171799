// See claimed_rows.hpp.
#include "pg/claimed_rows.hpp"

namespace fairq::pg::claimed_rows {

namespace {

struct Row {
    int64 id;
    ItemPointerData place;
};

Oid table_of_claim = InvalidOid;
int64 token_of_claim = 0;
std::vector<Row> rows; // by id

bool is_before(const Row &row, int64 id) {
    return row.id < id;
}

} // namespace

void remember(Oid table, int64 lock_token, const std::vector<ClaimedJob> &jobs) {
    token_of_claim = 0; // should the memory give out
    rows.resize(jobs.size());
    std::transform(jobs.begin(), jobs.end(), rows.begin(), [](const ClaimedJob &job) {
        return Row{job.id, job.row};
    });
    std::sort(rows.begin(), rows.end(), [](const Row &a, const Row &b) { return a.id < b.id; });
    table_of_claim = table;
    token_of_claim = lock_token;
}

ItemPointerData find(Oid table, int64 lock_token, int64 id, BlockNumber blocks) {
    ItemPointerData place;
    ItemPointerSetInvalid(&place);
    if (lock_token != token_of_claim || table != table_of_claim)
        return place;
    auto const row = std::lower_bound(rows.begin(), rows.end(), id, is_before);
    if (row != rows.end() && row->id == id && ItemPointerIsValid(&row->place) &&
        ItemPointerGetBlockNumber(&row->place) < blocks)
        place = row->place;
    return place;
}

} // namespace fairq::pg::claimed_rows
