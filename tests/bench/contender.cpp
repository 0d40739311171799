// contender.cpp: what all contenders have in common, and fairq itself.
#include "contender.hpp"

#include <algorithm>
#include <stdexcept>

#include <fmt/format.h>

namespace fairq::bench {

const char *const kPayload =
    R"(jsonb_build_object('n', n, 'text', repeat(chr(97 + (n % 26)::integer), 165)))";

namespace {

constexpr long long kAddedAtOnce = 10'000;
constexpr int kLeastPayload = 180; // bytes, as the client sees them

class Fairq : public Contender {
public:
    using Contender::Contender;

    void clear(Connection &connection) const override {
        connection.run("TRUNCATE job_live, job_leases, job_history RESTART IDENTITY");
    }

    void add(Connection &connection, const Jobs &jobs) const override {
        const long long end = jobs.first + jobs.count;
        for (long long from = jobs.first; from < end; from += kAddedAtOnce)
            connection.run(fmt::format(
                "SELECT count(*) FROM (SELECT array_agg('tenant-' || 1 + (n - 1) % {} ORDER BY n) AS "
                "tenants, array_agg({} ORDER BY n) AS payloads FROM generate_series({}, {}) AS n) AS new, "
                "enqueue_jobs(new.tenants, 'load_test', new.payloads)",
                jobs.tenants, kPayload, from, std::min(end, from + kAddedAtOnce) - 1));
    }

    Batch take(Connection &connection, const Ask &ask) const override {
        const auto [statement, values] = claim_statement(ask);
        return batch_of(connection.query(statement, values), name);
    }

    long long finish(Connection &connection, const Batch &batch) const override {
        static const std::string statement = "SELECT complete_jobs($1::bigint[], $2::bigint)";
        return batch.ids.empty()
                   ? 0
                   : connection.query(statement, {array_of(batch.ids), batch.lock_token}).rows();
    }

    void finish_all(Connection &connection) const override {
        connection.run("SELECT count(*) FROM (SELECT array_agg(id) AS ids, lock_token AS token FROM job_live "
                       "WHERE status = 'locked' GROUP BY lock_token) AS held, complete_jobs(ids, token)");
    }

    std::pair<std::string, std::vector<std::string>> claim_statement(const Ask &ask) const override {
        static const std::string statement =
            fmt::format("SELECT {} FROM claim_queued_jobs('bench', $1::integer, $2::integer) q", kGiven);
        return {statement, {std::to_string(ask.count), std::to_string(tenant_cap(ask.count))}};
    }

protected:
    /// Half a batch, as the default is for 50.
    static int tenant_cap(int count) { return std::max(1, count / 2); }
};

class FairqOneCall : public Fairq {
public:
    using Fairq::Fairq;

    bool swaps() const override { return true; }

    Batch swap(Connection &connection, const Batch &done, const Ask &ask) const override {
        static const std::string statement =
            fmt::format("SELECT {} FROM complete_and_claim_jobs($1::bigint[], $2::bigint, 'bench', "
                        "$3::integer, $4::integer) q",
                        kGiven);
        return batch_of(
            connection.query(statement, {array_of(done.ids), done.lock_token, std::to_string(ask.count),
                                         std::to_string(tenant_cap(ask.count))}),
            name);
    }
};

} // namespace

std::string array_of(const std::vector<std::string> &plain_words) {
    return fmt::format("{{{}}}", fmt::join(plain_words, ","));
}

Batch batch_of(const Result &given, const std::string &who) {
    Batch batch;
    for (int row = 0; row < given.rows(); ++row) {
        batch.ids.push_back(given.text(row, 0));
        batch.tenants.push_back(given.text(row, kTenantColumn));
        if (given.length(row, kPayloadColumn) < kLeastPayload)
            throw std::runtime_error(who + ": a claim without its payload");
    }
    if (given.rows() > 0)
        batch.lock_token = given.text(0, kTokenColumn);
    return batch;
}

void Contender::load(Connection &connection, const Jobs &jobs) const {
    clear(connection);
    connection.run("SET synchronous_commit = off");
    add(connection, jobs);
    connection.run("RESET synchronous_commit");
    connection.run("VACUUM ANALYZE " + table);
}

void Contender::vacuum(Connection &connection) const {
    connection.run("VACUUM " + table);
}

Batch Contender::claim(Connection &connection, const Ask &ask) const {
    Batch batch = take(connection, ask);
    if (!may_be_short() && batch.ids.size() != static_cast<std::size_t>(ask.count))
        throw std::runtime_error(
            fmt::format("{}: a claim of {} gave {} jobs", name, ask.count, batch.ids.size()));
    return batch;
}

void Contender::complete(Connection &connection, const Batch &batch) const {
    const long long accepted = finish(connection, batch);
    if (accepted != static_cast<long long>(batch.ids.size()))
        throw std::runtime_error(
            fmt::format("{}: {} of {} jobs completed", name, accepted, batch.ids.size()));
}

Batch Contender::swap(Connection &connection, const Batch &done, const Ask &ask) const {
    complete(connection, done);
    return claim(connection, ask);
}

const Contender &fairq_queue() {
    static const Fairq queue("fairq", "claim_queued_jobs + complete_jobs: fair, leased, fenced", "job_live");
    return queue;
}

const Contender &fairq_one_call() {
    static const FairqOneCall queue("fairq, one call", "complete_and_claim_jobs: one round trip, one commit",
                                    "job_live");
    return queue;
}

bool has_pgq(Connection &connection) {
    return connection.run("SELECT FROM pg_available_extensions WHERE name = 'pgq'").rows() > 0;
}

bool has_function(Connection &connection, const std::string &name) {
    return connection.run(fmt::format("SELECT FROM pg_proc WHERE proname = '{}'", name)).rows() > 0;
}

} // namespace fairq::bench
