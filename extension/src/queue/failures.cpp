// The table housekeeping_failures (see failures.hpp).
#include "queue/failures.hpp"

#include "pg/table_cache.hpp"
#include "tables/tenant_lock.hpp"

namespace fairq::queue {

namespace {

// SQL is laid out by hand.
// clang-format off

const pg::Statement kAnyFailures{pg::Plan::pinned, "SELECT FROM @housekeeping_failures LIMIT 1"};

// kind, id, step, SQLSTATE, error, now → how often it has failed, one after the other. Two seconds after the first
// failure it is tried again, then after twice as long each time, at most after ten minutes.
const pg::Statement kNote{pg::Plan::pinned, R"(
INSERT INTO @housekeeping_failures AS f (kind, id, step, failures, sqlstate, error, first_failed_at, failed_at, retry_at)
VALUES ($1, $2, $3, 1, $4, $5, $6, $6, $6 + interval '2 seconds')
    ON CONFLICT (kind, id) DO UPDATE
   SET step = excluded.step, failures = f.failures + 1, sqlstate = excluded.sqlstate, error = excluded.error,
       failed_at = excluded.failed_at,
       retry_at = excluded.failed_at + least(2 ^ least(f.failures + 1, 20), 600) * interval '1 second'
RETURNING failures)", {TEXTOID, INT8OID, TEXTOID, TEXTOID, TEXTOID, TIMESTAMPTZOID}};

// kind, ids. Never waits: a note that another transaction has locked goes later
const pg::Statement kForget{pg::Plan::pinned, R"(
DELETE FROM @housekeeping_failures
 WHERE ctid = ANY (ARRAY(SELECT f.ctid FROM unnest($2) AS a (id) JOIN @housekeeping_failures f ON f.kind = $1 AND f.id = a.id
                            FOR UPDATE OF f SKIP LOCKED)))", {TEXTOID, INT8ARRAYOID}};

// now → jobs that a claim passes over. Of more than that, some are tried, and refused again
const pg::Statement kRefusedClaims{pg::Plan::pinned, R"(
SELECT id FROM @housekeeping_failures
 WHERE kind = 'job' AND step = 'claim' AND failed_at <= $1 AND retry_at > $1 LIMIT 10000)", {TIMESTAMPTZOID}};

// now
const pg::Statement kForgetEnded{pg::Plan::pinned, R"(
DELETE FROM @housekeeping_failures
 WHERE ctid = ANY (ARRAY(
    SELECT f.ctid FROM @housekeeping_failures f
     WHERE f.retry_at <= $1
       AND NOT CASE f.kind
               WHEN 'run' THEN EXISTS (SELECT FROM @pipeline_runs r WHERE r.id = f.id AND r.advanced_at IS NOT NULL)
               WHEN 'lease' THEN EXISTS (SELECT FROM @job_leases l WHERE l.lock_token = f.id)
               ELSE EXISTS (SELECT FROM @job_live j WHERE j.id = f.id
                               AND CASE f.step WHEN 'promote' THEN j.status = 'scheduled'
                                               WHEN 'reclaim' THEN j.status = 'locked'
                                               WHEN 'claim' THEN j.status = 'queued' AND j.position IS NOT NULL
                                               WHEN 'park' THEN j.status = 'queued' AND j.position IS NOT NULL
                                               WHEN 'unpark' THEN j.parked_position IS NOT NULL
                                               WHEN 'advance' THEN j.status = 'blocked'
                                               ELSE false END) END
     LIMIT 100 FOR UPDATE OF f SKIP LOCKED)))", {TIMESTAMPTZOID}};

// clang-format on

constexpr int kChoresOfClaim = 4; // promote, reclaim, unpark, advance
constexpr int64 kTimeInTick = core::kSecond;

const char *name_of(Subject subject) {
    static constexpr const char *kNames[] = {"job", "run", "lease"};
    return kNames[static_cast<int>(subject)];
}

pg::Value text(const char *value) {
    return pg::of(std::string_view(value));
}

// The lock keeps the INSERT from waiting for another session that notes the same.
bool note_one(Chore chore, Subject subject, int64 id, const pg::ErrorText &error) {
    std::string const name = std::string(name_of(subject)) + " " + std::to_string(id);
    if (!tables::try_lock_key(tables::live_table_oid(pg::schema()), "", name))
        return false;
    pg::Rows const noted = pg::execute(kNote, {text(name_of(subject)), pg::of(id), text(name_of(chore)),
                                               text(pg::sqlstate_of(error).c_str()), text(error.message),
                                               pg::of_time(pg::now())});
    return !noted.empty() && noted.int32_at(0, pg::kOnlyColumn) == 1;
}

} // namespace

const char *name_of(Chore chore) {
    static constexpr const char *kNames[] = {"promote",   "reclaim", "park", "unpark",
                                             "advance",   "redrive", "fold", "partitions",
                                             "heartbeat", "fail",    "claim"};
    static_assert(std::size(kNames) == shared::queue_state::kSteps);
    return kNames[static_cast<int>(chore)];
}

bool any_failures() {
    static pg::table_cache::Copy<bool> copy;
    return copy.get(tables::relation_in(pg::schema(), "housekeeping_failures"), [] {
        return pg::with_spi([] { return !pg::read_as_of_snapshot(kAnyFailures).empty(); });
    });
}

// Where the note itself cannot be written, the log and the metrics tell of the failure nevertheless.
void note_failure(Chore chore, Subject subject, const Ids &ids, const pg::ErrorText &error) {
    int64 unknown = 0; // the first that was not known to fail
    auto const unnoted = pg::try_subtransaction([&] {
        for (int64 const id : ids)
            if (note_one(chore, subject, id, error) && unknown == 0)
                unknown = id;
    });
    for (size_t i = 0; i < ids.size(); ++i)
        shared::queue_state::count_failure(tables::live_table_oid(pg::schema()));
    // The token of a lease is its worker's secret.
    if (unknown != 0)
        pg::log_housekeeping_failure(
            name_of(chore),
            name_of(subject) + (subject == Subject::lease ? "" : " " + std::to_string(unknown)), error);
    if (unnoted)
        report_failure(chore, *unnoted);
}

Ids refused_claims() {
    if (!any_failures())
        return {};
    return pg::with_spi([] { return ids_in(pg::execute(kRefusedClaims, {pg::of_time(pg::now())})); });
}

void forget_failures(Subject subject, const Ids &ids) {
    pg::execute(kForget, {text(name_of(subject)), pg::of(ids)});
}

void forget_ended() {
    pg::execute(kForgetEnded, {pg::of_time(pg::now())});
}

void report_failure(Chore chore, const pg::ErrorText &error) {
    Oid const queue = tables::live_table_oid(pg::schema());
    shared::queue_state::count_failure(queue);
    if (shared::queue_state::step_is_to_be_logged(queue, static_cast<int>(chore)))
        pg::log_housekeeping_failure(name_of(chore), "", error);
}

core::Budget budget_of_call(int rows, int first) {
    // A statement that the caller gives little time must not spend it on housekeeping.
    int64 const most = pg::time_left_of_statement().value_or(INT64_MAX) / 4;
    int64 const time = std::min(pg::settings::housekeeping_time(), most) / kChoresOfClaim;
    return {pg::monotonic_now(), time, rows, first};
}

core::Budget budget_of_tick(int rows, int first) {
    return {pg::monotonic_now(), kTimeInTick, rows, first};
}

core::Budget budget_of_caller(int rows, int first) {
    int64 const most = pg::time_left_of_statement().value_or(core::kDay);
    return {pg::monotonic_now(), most / 2, rows, first};
}

} // namespace fairq::queue
