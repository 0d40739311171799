// contender_sql.cpp: the floors, and the queues that a user would write himself: one table, a job's whole
// life in its status.
#include <functional>
#include <map>

#include <fmt/format.h>

#include "contender.hpp"

namespace fairq::bench {
namespace {

/// The columns as one writes them down.
constexpr const char *kAsWritten =
    "id bigint PRIMARY KEY, tenant_id text COLLATE \"C\" NOT NULL, job_type text COLLATE \"C\" NOT NULL, "
    "status job_status NOT NULL, priority smallint NOT NULL, payload jsonb NOT NULL, "
    "run_at timestamptz NOT NULL, attempts integer NOT NULL, max_attempts integer NOT NULL, "
    "timeout interval NOT NULL, idempotency_key text, locked_by text, locked_at timestamptz, "
    "lock_token bigint, last_error text, created_at timestamptz NOT NULL, updated_at timestamptz NOT NULL";

/// And as fairq's table has them. A HOT update logs what stands between the first change and the last.
constexpr const char *kChangingLast =
    "id bigint PRIMARY KEY, tenant_id text COLLATE \"C\" NOT NULL, job_type text COLLATE \"C\" NOT NULL, "
    "priority smallint NOT NULL, run_at timestamptz NOT NULL, max_attempts integer NOT NULL, "
    "timeout interval NOT NULL, idempotency_key text, created_at timestamptz NOT NULL, "
    "payload jsonb NOT NULL, status job_status NOT NULL, attempts integer NOT NULL, locked_by text, "
    "locked_at timestamptz, lock_token bigint, last_error text, updated_at timestamptz NOT NULL";

constexpr const char *kQueuedByTenant =
    "CREATE INDEX ON {0} (tenant_id, priority, id) WHERE status = 'queued';"
    "CREATE INDEX ON {0} (tenant_id) WHERE status = 'locked'";

constexpr const char *kLock =
    "SET status = 'locked', attempts = q.attempts + 1, locked_by = 'bench', locked_at = now(), "
    "lock_token = $2::bigint, updated_at = now()";

// {0}: table, {1}: how many, {2}: kLock, {3}: kGiven. A parameter as the limit would let the planner sort the
// whole table.
constexpr const char *kSkipLocked =
    "WITH picked AS (SELECT id FROM {0} WHERE status = 'queued' ORDER BY priority, id "
    "LIMIT {1} FOR UPDATE SKIP LOCKED) "
    "UPDATE {0} q {2} FROM picked WHERE q.id = picked.id AND $1::integer > 0 RETURNING {3}";

constexpr const char *kWindow =
    "WITH ranked AS (SELECT id, row_number() OVER (PARTITION BY tenant_id ORDER BY priority, id) AS turn "
    "FROM {0} WHERE status = 'queued'), "
    "picked AS (SELECT job.id FROM {0} job JOIN ranked USING (id) WHERE turn <= 25 AND job.status = 'queued' "
    "ORDER BY turn, job.id LIMIT {1} FOR UPDATE OF job SKIP LOCKED) "
    "UPDATE {0} q {2} FROM picked WHERE q.id = picked.id AND $1::integer > 0 RETURNING {3}";

constexpr const char *kLooseScan =
    "WITH RECURSIVE tenants AS ("
    "(SELECT tenant_id FROM {0} WHERE status = 'queued' ORDER BY tenant_id LIMIT 1) UNION ALL "
    "SELECT (SELECT next.tenant_id FROM {0} next WHERE next.status = 'queued' "
    "AND next.tenant_id > tenants.tenant_id ORDER BY next.tenant_id LIMIT 1) "
    "FROM tenants WHERE tenants.tenant_id IS NOT NULL), "
    "picked AS (SELECT job.id FROM (SELECT tenant_id FROM tenants WHERE tenant_id IS NOT NULL) AS t, "
    "LATERAL (SELECT id FROM {0} WHERE status = 'queued' AND tenant_id = t.tenant_id ORDER BY priority, id "
    "LIMIT (SELECT greatest(1, ceil({1}.0 / greatest(count(tenant_id), 1)))::integer FROM tenants) "
    "FOR UPDATE SKIP LOCKED) AS job LIMIT {1}) "
    "UPDATE {0} q {2} FROM picked WHERE q.id = picked.id AND $1::integer > 0 RETURNING {3}";

constexpr const char *kById = "UPDATE {0} q {2} WHERE id = ANY($1::bigint[]) RETURNING {3}";

enum class Given { nothing, ids }; // a floor is no queue: it is given the ids of the jobs to complete

class SqlQueue : public Contender {
public:
    SqlQueue(const std::string &its_name, const std::string &about_it, const std::string &its_table,
             std::string setup, const char *claim, Given told)
        : Contender(its_name, about_it, its_table), setup_(std::move(setup)),
          complete_(fmt::format("UPDATE {} SET status = 'completed', updated_at = now() "
                                "WHERE id = ANY($1::bigint[]) AND lock_token = $2::bigint RETURNING id",
                                its_table)),
          told_(told) {
        for (const int count : {1, kBatch, 10 * kBatch})
            claims_[count] = fmt::format(claim, its_table, count, kLock, kGiven);
    }

    void clear(Connection &connection) const override {
        connection.run(fmt::format("DROP TABLE IF EXISTS {}; {}", table, setup_));
    }

    void add(Connection &connection, const Jobs &jobs) const override {
        connection.run(fmt::format(
            "INSERT INTO {0} (id, tenant_id, job_type, status, priority, payload, run_at, attempts, "
            "max_attempts, timeout, created_at, updated_at) "
            "SELECT n - {1} + 1 + (SELECT coalesce(max(id), 0) FROM {0}), 'tenant-' || 1 + (n - 1) % {2}, "
            "'load_test', 'queued', 0, {3}, now(), 0, 5, '5 minutes', now(), now() "
            "FROM generate_series({1}, {4}) AS n",
            table, jobs.first, jobs.tenants, kPayload, jobs.first + jobs.count - 1));
    }

    Batch take(Connection &connection, const Ask &ask) const override {
        const auto [statement, values] = claim_statement(ask);
        return batch_of(connection.query(statement, values), name);
    }

    long long finish(Connection &connection, const Batch &batch) const override {
        return connection.query(complete_, {array_of(batch.ids), batch.lock_token}).rows();
    }

    void finish_all(Connection &connection) const override {
        connection.run(fmt::format("UPDATE {} SET status = 'completed' WHERE status = 'locked'", table));
    }

    std::pair<std::string, std::vector<std::string>> claim_statement(const Ask &ask) const override {
        std::vector<std::string> ids;
        for (int i = 0; told_ == Given::ids && i < ask.count; ++i)
            ids.push_back(std::to_string(ask.first + i));
        return {claims_.at(ask.count),
                {told_ == Given::ids ? array_of(ids) : std::to_string(ask.count), std::to_string(ask.first)}};
    }

private:
    std::string setup_, complete_;
    std::map<int, std::string> claims_; // by size
    Given told_;
};

/// Rows that other sessions took since its snapshot are not among the 25 of each tenant that it has found.
class WindowQueue : public SqlQueue {
public:
    using SqlQueue::SqlQueue;
    bool may_be_short() const override { return true; }
};

std::string table(const char *name, int fillfactor, const char *indexes, const char *columns = kAsWritten) {
    return fmt::format("CREATE TABLE {} ({}) WITH (fillfactor = {});", name, columns, fillfactor) +
           fmt::format(fmt::runtime(indexes), name);
}

} // namespace

const Contender &floor_pair() {
    static const SqlQueue queue("floor",
                                "bare UPDATE pair by id, status-dependent partial indexes, fillfactor 100",
                                "floor_job", table("floor_job", 100, kQueuedByTenant), kById, Given::ids);
    return queue;
}

const Contender &hot_pair() {
    static const SqlQueue queue(
        "floor-hot", "the same with the primary key only, fillfactor 30: HOT updates and nothing else",
        "hot_job", table("hot_job", 30, ""), kById, Given::ids);
    return queue;
}

const Contender &hot_pair_in_order() {
    static const SqlQueue queue(
        "hot-in-order", "floor-hot with what changes behind the payload, as fairq's table has it: less WAL",
        "hot_in_order_job", table("hot_in_order_job", 30, "", kChangingLast), kById, Given::ids);
    return queue;
}

const Contender &skip_locked() {
    static const SqlQueue queue(
        "skip-locked", "plain FOR UPDATE SKIP LOCKED queue: first come, first served", "skip_job",
        table("skip_job", 100, "CREATE INDEX ON {} (priority, id) WHERE status = 'queued'"), kSkipLocked,
        Given::nothing);
    return queue;
}

const Contender &window_claim() {
    static const WindowQueue queue("window", "fair claim by row_number() over all that is queued",
                                   "window_job", table("window_job", 100, kQueuedByTenant), kWindow,
                                   Given::nothing);
    return queue;
}

const Contender &loose_scan() {
    static const SqlQueue queue(
        "loose scan", "fair claim by a recursive loose index scan over tenants + LATERAL SKIP LOCKED",
        "loose_job", table("loose_job", 100, kQueuedByTenant), kLooseScan, Given::nothing);
    return queue;
}

} // namespace fairq::bench
