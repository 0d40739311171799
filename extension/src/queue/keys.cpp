// Concurrency keys and paused types: a job that cannot run now, and would stand in the way of the jobs behind it, is
// parked, out of its lane. It comes back when its key is free or its type is resumed. unpark.cpp finds those that the
// events have left out.
#include "pg/table_cache.hpp"
#include "queue/failures.hpp"
#include "queue/limits.hpp"
#include "tables/tenant_lock.hpp"

namespace fairq::queue {

namespace {

// SQL is laid out by hand.
// clang-format off

const pg::Statement kPausedTypes{pg::Plan::pinned, "SELECT job_type FROM @paused_job_types ORDER BY job_type"};

// tenant, key, anything to pass over?, now → queue, place: the first parked job of the key goes back to its place, if no
// running job holds the key
const pg::Statement kUnpark{pg::Plan::pinned, R"(
UPDATE @job_live SET position = parked_position, parked_position = NULL, updated_at = clock_timestamp()
 WHERE id = (SELECT id FROM @job_live p
              WHERE tenant_id = $1 AND concurrency_key = $2 AND parked_position IS NOT NULL
                AND )" FAIRQ_NOT_PASSED_OVER("job", "p.id", "$3", "$4") R"(
              ORDER BY priority, parked_position LIMIT 1 FOR UPDATE SKIP LOCKED)
   AND NOT EXISTS (SELECT FROM @job_live WHERE tenant_id = $1 AND held_key = $2)
RETURNING queue, )" FAIRQ_PLACE("position") R"()", {TEXTOID, TEXTOID, BOOLOID, TIMESTAMPTZOID}};
struct Unparked {
    enum Column { queue = 1, place };
};

// The same → id of the job that it would take
const pg::Statement kFirstParked{pg::Plan::pinned, R"(
SELECT id FROM @job_live p
 WHERE tenant_id = $1 AND concurrency_key = $2 AND parked_position IS NOT NULL
   AND )" FAIRQ_NOT_PASSED_OVER("job", "p.id", "$3", "$4") R"(
 ORDER BY priority, parked_position LIMIT 1)", {TEXTOID, TEXTOID, BOOLOID, TIMESTAMPTZOID}};

// clang-format on

constexpr size_t kMostFreed = 256; // keys, by one call: each takes a lock until it commits
constexpr int kMostTried = 3;      // jobs of a key that cannot be moved, by one call

using Key = FreedKeys::value_type;

pg::Rows of_key(const pg::Statement &statement, const Key &key) {
    return pg::execute(statement, {pg::of(std::string_view(key.first)), pg::of(std::string_view(key.second)),
                                   pg::of(any_failures()), pg::of_time(pg::now())});
}

void unpark_first(const Key &key) {
    pg::Rows const moved = of_key(kUnpark, key);
    if (!moved.empty())
        lane_filled({moved.text_at(0, Unparked::queue), key.first}, 1,
                    core::range_of(moved.int64_at(0, Unparked::place)));
}

// Jobs that cannot be moved are passed over, so that the next one of the key gets its turn.
void unpark_apart(const Key &key) {
    for (int i = 0; i < kMostTried; ++i) {
        auto const error = pg::try_subtransaction([&] { unpark_first(key); });
        if (!error)
            return;
        Ids const failed = ids_in(of_key(kFirstParked, key));
        if (failed.empty())
            return;
        note_failure(Chore::unpark, Subject::job, failed, *error);
    }
}

} // namespace

const std::vector<std::string> &paused_types() {
    static pg::table_cache::Copy<std::vector<std::string>> copy;
    return copy.get(tables::relation_in(pg::schema(), "paused_job_types"), [] {
        return pg::with_spi([] {
            pg::Rows const rows = pg::read_as_of_snapshot(kPausedTypes);
            std::vector<std::string> types;
            for (size_t row = 0; row < rows.size(); ++row)
                types.push_back(rows.text_at(row, pg::kOnlyColumn));
            return types;
        });
    });
}

// Unparks one job for each key that is free now, and never waits: a key whose lock a claim has, because it is parking a
// job of that key just now, is left to the sweep. A job that cannot come back fails nobody's call.
void free_keys(FreedKeys keys) {
    if (keys.empty())
        return;
    std::sort(keys.begin(), keys.end());
    keys.erase(std::unique(keys.begin(), keys.end()), keys.end());
    keys.resize(std::min(keys.size(), kMostFreed));
    Oid const queue = tables::live_table_oid(pg::schema());
    auto const locked = [&](const Key &key) { return !tables::try_lock_key(queue, key.first, key.second); };
    keys.erase(std::remove_if(keys.begin(), keys.end(), locked), keys.end());
    auto const error = pg::try_subtransaction([&] {
        for (Key const &key : keys)
            unpark_first(key);
    });
    for (size_t i = 0; error && i < keys.size(); ++i)
        unpark_apart(keys[i]);
}

} // namespace fairq::queue
