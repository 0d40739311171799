// contender.cpp: see contender.hpp.
#include "contender.hpp"

#include <algorithm>
#include <stdexcept>

#include <fmt/format.h>

namespace fairq::bench {
namespace {

constexpr long long kAddedAtOnce = 10'000;
constexpr int kLeastPayload = 180; // bytes, as the client sees them

// What a queue in plain SQL has: one table, a job's whole life in its status.
constexpr const char *kTable = R"(
CREATE TABLE {} (
    id bigint PRIMARY KEY, tenant_id text COLLATE "C" NOT NULL, job_type text COLLATE "C" NOT NULL,
    status job_status NOT NULL, priority smallint NOT NULL, payload jsonb NOT NULL, run_at timestamptz NOT NULL,
    attempts integer NOT NULL, max_attempts integer NOT NULL, timeout interval NOT NULL, idempotency_key text,
    locked_by text, locked_at timestamptz, lock_token bigint, last_error text, created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
) WITH (fillfactor = {});)";

constexpr const char *kGiven = "q.id, q.tenant_id, q.job_type, q.payload, q.attempts, q.lock_token";
constexpr int kPayloadColumn = 3;
constexpr int kTokenColumn = 5;

constexpr const char *kLock =
    "SET status = 'locked', attempts = q.attempts + 1, locked_by = 'bench', locked_at = now(), "
    "lock_token = $2::bigint, updated_at = now()";

constexpr const char *kComplete = "UPDATE {} SET status = 'completed', updated_at = now() "
                                  "WHERE id = ANY($1::bigint[]) AND lock_token = $2::bigint RETURNING id";

// The same 200 bytes for everybody.
constexpr const char *kPayload =
    R"(jsonb_build_object('n', n, 'text', repeat(chr(97 + (n % 26)::integer), 165)))";

Contender fairq() {
    return {"fairq",
            "claim_queued_jobs + complete_jobs: fair, leased, fenced",
            "job_live",
            "",
            fmt::format("SELECT {} FROM claim_queued_jobs('bench', $1::integer) q", kGiven),
            "SELECT complete_jobs($1::bigint[], $2::bigint)",
            false};
}

Contender pair_by_id(const std::string &name, const std::string &about, const std::string &table,
                     const std::string &setup) {
    return {name,
            about,
            table,
            setup,
            fmt::format("UPDATE {} q {} WHERE id = ANY($1::bigint[]) RETURNING {}", table, kLock, kGiven),
            fmt::format(kComplete, table),
            true};
}

Contender floor_pair() {
    return pair_by_id("floor", "bare UPDATE pair by id, status-dependent partial indexes, fillfactor 100",
                      "floor_job",
                      fmt::format(kTable, "floor_job", 100) +
                          "CREATE INDEX ON floor_job (tenant_id, priority, id) WHERE status = 'queued';"
                          "CREATE INDEX ON floor_job (tenant_id) WHERE status = 'locked'");
}

Contender hot_pair() {
    return pair_by_id("floor-hot",
                      "the same with the primary key only, fillfactor 30: HOT updates and nothing else",
                      "hot_job", fmt::format(kTable, "hot_job", 30));
}

Contender skip_locked() {
    return {"skip-locked", "plain FOR UPDATE SKIP LOCKED queue: first come, first served", "skip_job",
            fmt::format(kTable, "skip_job", 100) +
                "CREATE INDEX ON skip_job (priority, id) WHERE status = 'queued'",
            // A parameter as the limit would let the planner sort the whole table.
            fmt::format(
                "WITH picked AS (SELECT id FROM skip_job WHERE status = 'queued' ORDER BY priority, id "
                "LIMIT {} FOR UPDATE SKIP LOCKED) "
                "UPDATE skip_job q {} FROM picked WHERE q.id = picked.id AND $1::integer > 0 RETURNING {}",
                kBatch, kLock, kGiven),
            fmt::format(kComplete, "skip_job"), false};
}

std::string bigint_array(const std::vector<std::string> &ids) {
    return fmt::format("{{{}}}", fmt::join(ids, ","));
}

} // namespace

const std::vector<Contender> &contenders() {
    static const std::vector<Contender> all{fairq(), floor_pair(), hot_pair(), skip_locked()};
    return all;
}

const Contender &fairq_queue() {
    return contenders().front();
}

void add(Connection &connection, const Contender &contender, long long jobs, long long tenants) {
    for (long long from = 1; from <= jobs; from += kAddedAtOnce) {
        const std::string numbers =
            fmt::format("generate_series({}, {}) AS n", from, std::min(jobs, from + kAddedAtOnce - 1));
        const std::string tenant = fmt::format("'tenant-' || 1 + (n - 1) % {}", tenants);
        if (contender.setup.empty())
            connection.run(fmt::format("SELECT count(*) FROM (SELECT array_agg({} ORDER BY n) AS tenants, "
                                       "array_agg({} ORDER BY n) AS payloads FROM {}) AS new, "
                                       "enqueue_jobs(new.tenants, 'load_test', new.payloads)",
                                       tenant, kPayload, numbers));
        else
            connection.run(fmt::format(
                "INSERT INTO {0} SELECT n + (SELECT coalesce(max(id), 0) - {1} + 1 FROM {0}), {2}, "
                "'load_test', 'queued', 0, {3}, now(), 0, 5, '5 minutes', NULL, NULL, NULL, NULL, "
                "NULL, now(), now() FROM {4}",
                contender.table, from, tenant, kPayload, numbers));
    }
}

void load(Connection &connection, const Contender &contender, long long jobs, long long tenants) {
    if (contender.setup.empty())
        connection.run("TRUNCATE job_live, job_leases, job_history RESTART IDENTITY");
    else
        connection.run(fmt::format("DROP TABLE IF EXISTS {}; {}", contender.table, contender.setup));
    connection.run("SET synchronous_commit = off");
    add(connection, contender, jobs, tenants);
    connection.run("RESET synchronous_commit");
    connection.run("VACUUM ANALYZE " + contender.table);
}

Batch claim(Connection &connection, const Contender &contender, long long first) {
    Batch batch;
    for (int i = 0; contender.by_id && i < kBatch; ++i)
        batch.ids.push_back(std::to_string(first + i));
    const std::string token = std::to_string(first);
    std::vector<std::string> arguments{contender.by_id ? bigint_array(batch.ids) : std::to_string(kBatch)};
    if (!contender.setup.empty())
        arguments.push_back(token);
    const Result given = connection.query(contender.claim, arguments);
    if (given.rows() != kBatch)
        throw std::runtime_error(
            fmt::format("{}: a claim of {} gave {} jobs", contender.name, kBatch, given.rows()));
    batch.ids.clear();
    for (int row = 0; row < kBatch; ++row) {
        batch.ids.push_back(given.text(row, 0));
        if (given.length(row, kPayloadColumn) < kLeastPayload)
            throw std::runtime_error(contender.name + ": a claim without its payload");
    }
    batch.lock_token = given.text(0, kTokenColumn);
    return batch;
}

void complete(Connection &connection, const Contender &contender, const Batch &batch) {
    const Result accepted = connection.query(contender.complete, {bigint_array(batch.ids), batch.lock_token});
    if (accepted.rows() != static_cast<int>(batch.ids.size()))
        throw std::runtime_error(
            fmt::format("{}: {} of {} jobs completed", contender.name, accepted.rows(), batch.ids.size()));
}

} // namespace fairq::bench
