// queue_checker.cpp: see queue_checker.hpp.
#include "queue_checker.hpp"

#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <map>
#include <random>

#include <fmt/format.h>

namespace fairq::test {

using namespace fairq::driver;

namespace {

constexpr Milliseconds kPatience{30'000};
constexpr int kEnqueuedAtOnce = 1000;
constexpr const char *kGate = "4711";

using Counts = std::map<std::int64_t, int>;

Counts counted(const std::vector<std::int64_t> &ids) {
    Counts counts;
    for (const std::int64_t id : ids)
        ++counts[id];
    return counts;
}

std::vector<std::int64_t> ids_of(const Rows &rows) {
    std::vector<std::int64_t> ids;
    ids.reserve(rows.size());
    for (const Row &row : rows)
        ids.push_back(std::stoll(row[0].value()));
    return ids;
}

/// Those of `counts` that are in `other` less often than `times`, or more often, as `wrong` says.
template <class Wrong>
void note(std::vector<std::string> &found, const std::string &what, const Counts &counts, Wrong &&wrong) {
    std::vector<std::int64_t> ids;
    for (const auto &[id, count] : counts)
        if (wrong(id, count))
            ids.push_back(id);
    if (!ids.empty())
        found.push_back(fmt::format("{} {} (id {})", ids.size(), what, ids.front()));
}

} // namespace

std::uint64_t test_seed() {
    const char *const given = std::getenv("FAIRQ_TEST_SEED");
    const std::uint64_t value = given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
    std::cout << "FAIRQ_TEST_SEED=" << value << std::endl;
    return value;
}

std::vector<std::string> findings(Database &database, const Replies &replies) {
    const Counts enqueued = counted(replies.enqueued), accepted = counted(replies.completed);
    const Counts history =
        counted(ids_of(database.query("SELECT id FROM job_history WHERE status = 'completed'")));
    const Counts elsewhere =
        counted(ids_of(database.query("SELECT id FROM job_queue WHERE status <> 'completed'")));
    const auto missing_in = [](const Counts &counts) {
        return [&](auto id, int) { return counts.count(id) == 0; };
    };
    const auto more_than_once = [](auto, int count) { return count > 1; };
    std::vector<std::string> found;
    note(found, "jobs were never completed", enqueued, missing_in(history));
    note(found, "completed jobs were never enqueued", history, missing_in(enqueued));
    note(found, "jobs are in history more than once", history, more_than_once);
    note(found, "jobs are left", elsewhere, [](auto, int) { return true; });
    note(found, "ids were given to more than one job", enqueued, more_than_once);
    note(found, "completions were accepted more than once", accepted, more_than_once);
    note(found, "accepted completions are not in history", accepted, missing_in(history));
    note(found, "jobs in history were completed by nobody", history, missing_in(accepted));
    return found;
}

std::vector<std::int64_t> enqueue(Database &database, const std::string &job_type, int jobs, int tenants) {
    std::vector<std::int64_t> ids;
    for (int done = 0; done < jobs; done += kEnqueuedAtOnce) {
        const Rows rows =
            database.query("SELECT enqueue_jobs((SELECT array_agg('tenant-' || n % $1::integer) FROM "
                           "generate_series($2::integer, $3::integer) "
                           "AS n), $4, max_attempts => 1000)",
                           {std::to_string(tenants), std::to_string(done),
                            std::to_string(std::min(jobs, done + kEnqueuedAtOnce) - 1), job_type});
        const std::vector<std::int64_t> more = ids_of(rows);
        ids.insert(ids.end(), more.begin(), more.end());
    }
    return ids;
}

ClaimedJobs claim(Database &database, int max_jobs, int tenant_cap) {
    const Rows rows = database.query("SELECT id, lock_token FROM claim_queued_jobs('test', $1, $2)",
                                     {std::to_string(max_jobs), std::to_string(tenant_cap)});
    return {ids_of(rows), rows.empty() ? "" : rows[0][1].value()};
}

std::vector<std::int64_t> complete(Database &database, const std::vector<std::int64_t> &ids,
                                   const std::string &lock_token) {
    return ids_of(database.query("SELECT complete_jobs($1, $2)", {id_array(ids), lock_token}));
}

std::string id_array(const std::vector<std::int64_t> &ids) {
    return fmt::format("{{{}}}", fmt::join(ids, ","));
}

std::int64_t number(Database &database, const std::string &query) {
    return std::stoll(database.scalar(query).value());
}

std::int64_t jobs_with_status(Database &database, const std::string &status) {
    return std::stoll(
        database.scalar("SELECT count(*) FROM job_queue WHERE status = $1::job_status", {status}).value());
}

std::string metrics_are_wrong(Database &database) {
    // Counted by the tables, with the zeros of statuses that no job has.
    database.query("SET fairq.metrics_count_limit = 0"); // or a small queue is counted anew
    const Rows rows = database.query(
        "WITH kept AS (SELECT get_queue_metrics() AS m), "
        "counted AS (SELECT jsonb_object_agg(s, (SELECT count(*) FROM job_queue WHERE status = s)) AS c "
        "FROM unnest(enum_range(NULL::job_status)) AS s) "
        "SELECT m -> 'queue_stats' = c AND m ->> 'source' IN ('counted', 'kept'), m::text || ' is not ' || "
        "c::text FROM "
        "kept, counted");
    return rows[0][0].value() == "t" ? "" : rows[0][1].value();
}

void register_gated_handler(Database &database) {
    database.query(
        fmt::format("CREATE FUNCTION wait_at_gate(job job_queue) RETURNS void LANGUAGE plpgsql AS $$ "
                    "BEGIN PERFORM pg_advisory_xact_lock_shared({}); END $$",
                    kGate));
    database.query("SELECT register_job_handler('gated', 'wait_at_gate(job_queue)')");
}

void close_gate(Database &database) {
    database.query(fmt::format("SELECT pg_advisory_lock({})", kGate));
}
void open_gate(Database &database) {
    database.query(fmt::format("SELECT pg_advisory_unlock({})", kGate));
}

bool wait_for_handlers_at_gate(Database &database, int handlers) {
    return eventually(kPatience, [&] {
        return number(database,
                      fmt::format("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = {} "
                                  "AND NOT granted",
                                  kGate)) == handlers;
    });
}

bool ticks_have_ended(Database &database) {
    return eventually(kPatience, [&] {
        return number(database, "SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'fairq %' AND "
                                "datname = current_database()") == 0;
    });
}

} // namespace fairq::test
