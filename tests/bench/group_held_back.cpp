// group_held_back.cpp: claims beside tenants that cannot run: a quarter each paused, at their cap, out of tokens, and
// with jobs of a paused type only. Each ratio has a queue with them and one without, looked at in turns.
#include <stdexcept>

#include <fmt/format.h>

#include "groups.hpp"
#include "work.hpp"

namespace fairq::bench {
namespace {

constexpr long long kJobsPerTenant = 2'000;
constexpr int kClaims = 200, kPickups = 100; // a round
constexpr int kWarmUp = 1'200;               // claims: then each held lane was looked at
// As for the group buffers; and some lanes that a claim rescans, the more the slower the machine is. A claim that looks at
// those that are held back touches thousands of pages.
constexpr double kMostGrowth = 1.5, kRescanned = 300;

// A rate that lets the next job through in a day. One job of each capped tenant is locked, by a lease that does not end.
constexpr const char *kHeldBack = R"(
CREATE TABLE held_back AS SELECT 'held-' || n AS tenant, n % 4 AS how FROM generate_series(1, {0}) AS n;
INSERT INTO tenant_limits (tenant_id, paused, max_concurrency, rate_per_second, burst)
SELECT tenant, how = 0, CASE how WHEN 1 THEN 1 END, CASE how WHEN 2 THEN 0.00001 END, CASE how WHEN 2 THEN 1 END
  FROM held_back WHERE how < 3;
INSERT INTO tenant_rates SELECT tenant, 'claim', now() + interval '1 day' FROM held_back WHERE how = 2;
SELECT pause_job_type('paused');
SELECT count(*) FROM (SELECT array_agg(tenant) AS tenants FROM held_back, generate_series(1, 2) WHERE how < 3) AS new,
       enqueue_jobs(new.tenants, 'load_test');
SELECT count(*) FROM (SELECT array_agg(tenant) AS tenants FROM held_back WHERE how = 3) AS new,
       enqueue_jobs(new.tenants, 'paused', concurrency_keys => new.tenants);
WITH first AS (SELECT min(id) AS id FROM job_live JOIN held_back ON tenant = tenant_id AND how = 1 GROUP BY tenant_id),
     held AS (UPDATE job_live SET status = 'locked', attempts = 1, locked_by = 'bench', locked_at = now(),
                     lock_token = 1, running_since = now() FROM first WHERE job_live.id = first.id RETURNING job_live.id)
INSERT INTO job_leases SELECT 1, 'bench', now(), now() + interval '1 day', array_agg(id) FROM held)";

constexpr const char *kFinishAll = "SELECT count(*) FROM (SELECT array_agg(id) AS ids, lock_token AS token "
                                   "FROM job_live WHERE lock_token <> 1 "
                                   "GROUP BY lock_token) AS claimed, complete_jobs(ids, token)";

struct Side {
    Queue queue;
    Samples pickup{}, empty{}; ///< ms
    int late = 0;              ///< jobs that the first claim behind their enqueue did not get
};

struct Case {
    long long active, held;
    Side without{}, with{};

    std::string name() const { return fmt::format("{} : {}", held, active); }
};

void load(Side &side, long long active, long long held) {
    side.queue.jobs = {kJobsPerTenant * active, active};
    prepare(side.queue);
    Connection connection(side.queue.database);
    if (held > 0)
        connection.run(fmt::format(kHeldBack, held));
    connection.run("VACUUM ANALYZE");
}

void warm_up(Side &side, int claims) {
    look_at(side.queue, {claims, false, true});
    side.queue = {side.queue.database, side.queue.jobs};
}

double claim_ms(Connection &worker, int count, std::size_t expected) {
    const Stopwatch watch;
    const Batch batch = fairq_queue().take(worker, {0, count, 0});
    const double ms = watch.seconds() * 1000;
    fairq_queue().finish(worker, batch);
    if (batch.ids.size() > expected)
        throw std::runtime_error("a tenant that is held back got a job");
    return batch.ids.size() == expected ? ms : -1;
}

/// Works off what the active tenants have; then single jobs come, and none.
void look_at_singles(Side &side, int times) {
    Connection worker(side.queue.database), producer(side.queue.database);
    worker.run("SET synchronous_commit = off");
    producer.run("SET synchronous_commit = off");
    for (Batch batch = fairq_queue().take(worker, {0, 10'000, 0}); !batch.ids.empty();
         batch = fairq_queue().take(worker, {0, 10'000, 0}))
        fairq_queue().finish(worker, batch);
    fairq_queue().vacuum(producer);
    Samples pickup, empty;
    for (int i = 0; i < times; ++i) {
        fairq_queue().add(producer, {1, side.queue.jobs.tenants, i + 1});
        const double ms = claim_ms(worker, 1, 1);
        if (ms < 0)
            ++side.late;
        else
            pickup.add(ms);
        while (claim_ms(worker, 1, 0) < 0) {
        }
        empty.add(claim_ms(worker, kBatch, 0));
    }
    side.pickup.add(pickup.median());
    side.empty.add(empty.median());
    fairq_queue().add(producer, side.queue.jobs);
    fairq_queue().vacuum(producer);
}

void look(Case &one, const Size &size) {
    for (Side *const side : {&one.without, &one.with}) {
        load(*side, one.active, side == &one.with ? one.held : 0);
        warm_up(*side, size.quick ? 30 : kWarmUp);
    }
    for (int round = 0; round < size.rounds; ++round) {
        for (Side *const side : {&one.without, &one.with})
            look_at(side->queue, {size.quick ? 20 : kClaims, false, true});
        for (Side *const side : {&one.without, &one.with})
            look_at_singles(*side, size.quick ? 10 : kPickups);
    }
}

/// The least of some claims, because a claim also rescans some lanes.
long long pages_of_a_claim(const Side &side, const std::string &before) {
    Connection worker(side.queue.database), admin(side.queue.database);
    long long least = INT64_MAX;
    for (int i = 0; i < 9; ++i) {
        fairq_queue().finish(worker, fairq_queue().take(worker, {}));
        if (!before.empty())
            admin.run(before);
        const auto [statement, values] = fairq_queue().claim_statement({});
        least = std::min(least, worker.buffers(statement, values));
        admin.run(kFinishAll);
    }
    return least;
}

void check(Report &report, const Case &one) {
    const std::string rule =
        fmt::format("a claim touches no more pages beside {} held-back tenants", one.held);
    const auto grows = [&](const std::string &before) {
        const long long without = pages_of_a_claim(one.without, ""),
                        with = pages_of_a_claim(one.with, before);
        return std::make_pair(static_cast<double>(with) <=
                                  kMostGrowth * static_cast<double>(without) + kRescanned,
                              fmt::format("{} with them, {} without", with, without));
    };
    const auto [holds, found] = grows("");
    report.check(rule, holds, found);
    // All holds end, so that the next claim looks at as many of them as it may.
    const auto [still_holds, found_then] = grows("UPDATE tenant_limits SET weight = weight");
    report.can_fail(rule, still_holds, found_then);
    report.check("the first claim gets a job that came beside held-back tenants", one.with.late == 0,
                 fmt::format("{}: {} late", one.name(), one.with.late));
}

Fields row_of(Report &report, const Case &one) {
    const Samples speed = one.without.queue.per_job.over(one.with.queue.per_job);
    const Samples pickup = one.with.pickup.over(one.without.pickup);
    const Samples empty = one.with.empty.over(one.without.empty);
    const std::string what = "held back " + one.name();
    return {{"held : active", one.name()},
            {"us/job without", figure(one.without.queue.per_job, 1)},
            {"with", figure(one.with.queue.per_job, 1)},
            {"jobs/s, x", figure(speed, 2)},
            {"target", report.target(what + ", claims of 50", speed.median(), at_least(0.9))},
            {"pickup ms", figure(one.with.pickup, 3)},
            {"x", figure(pickup, 2)},
            {"target ", report.target(what + ", pickup", pickup.median(), at_most(1 / 0.9))},
            {"empty ms", figure(one.with.empty, 3)},
            {"x ", figure(empty, 2)},
            {"target  ", report.target(what + ", empty claim", empty.median(), at_most(2))}};
}

} // namespace

void measure_held_back(Report &report, const Size &size) {
    std::vector<Case> cases{{20, 20}, {20, 200}, {20, 2'000}, {20, 20'000}, {1, 100'000}};
    if (size.quick)
        cases = {{5, 500}};
    std::vector<Fields> rows;
    for (Case &one : cases) {
        one.without.queue.database = "bench_alone";
        one.with.queue.database = "bench_held_back";
        look(one, size);
        check(report, one);
        rows.push_back(row_of(report, one));
        for (const Side *const side : {&one.without, &one.with})
            drop_database(side->queue.database);
    }
    report.table("held back",
                 fmt::format("claim of {} beside tenants that cannot run, one connection, async", kBatch),
                 rows);
}

} // namespace fairq::bench
