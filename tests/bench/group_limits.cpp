// group_limits.cpp: what limits cost the tenants that have them, and what tenants that may not run cost all
// other tenants.
#include <fmt/format.h>

#include "groups.hpp"
#include "work.hpp"

namespace fairq::bench {
namespace {

constexpr long long kFewTenants = 10, kManyTenants = 100'000;
constexpr long long kFewJobs = 50'000, kManyJobs = 1'000'000;
constexpr int kClaims = 200; // a round

// Nine tenants of ten, wherever they are in the order.
constexpr const char *kStopped =
    "FROM (SELECT 'tenant-' || n AS tenant FROM generate_series(1, {}) AS n) AS all_of_them "
    "WHERE hashtext(tenant) % 10 <> 0";

struct Case {
    std::string name;
    std::string limits; ///< before jobs are enqueued
    std::string held;   ///< after
    Queue queue;
};

Case no_limits(const std::string &database, const Jobs &jobs) {
    return {"no limits", "", "", {database, jobs}};
}

Case all_limited(const Jobs &jobs) {
    return {"every tenant capped and rated",
            fmt::format("INSERT INTO tenant_limits (tenant_id, max_concurrency, rate_per_second, burst) "
                        "SELECT 'tenant-' || n, 10000, 1e6, 1000000 FROM generate_series(1, {}) AS n",
                        jobs.tenants),
            "",
            {"bench_limited", jobs}};
}

Case paused(const Jobs &jobs) {
    return {"90 % paused",
            "INSERT INTO tenant_limits (tenant_id, paused) SELECT tenant, true " +
                fmt::format(kStopped, jobs.tenants),
            "",
            {"bench_paused", jobs}};
}

/// One job of each is locked, by a lease that does not end.
Case at_cap(const Jobs &jobs) {
    return {
        "90 % at their cap",
        "INSERT INTO tenant_limits (tenant_id, max_concurrency) SELECT tenant, 1 " +
            fmt::format(kStopped, jobs.tenants),
        "WITH first AS (SELECT min(id) AS id FROM job_live JOIN tenant_limits USING (tenant_id) GROUP BY "
        "tenant_id), "
        "held AS (UPDATE job_live SET status = 'locked', attempts = 1, locked_by = 'bench', locked_at = "
        "now(), "
        "lock_token = 1, running_since = now() FROM first WHERE job_live.id = first.id RETURNING "
        "job_live.id) "
        "INSERT INTO job_leases SELECT 1, 'bench', now(), now() + interval '1 day', array_agg(id) FROM held",
        {"bench_at_cap", jobs}};
}

Case out_of_tokens(const Jobs &jobs) {
    return {"90 % out of tokens",
            "INSERT INTO tenant_limits (tenant_id, rate_per_second, burst) SELECT tenant, 0.001, 1 " +
                fmt::format(kStopped, jobs.tenants) +
                "; INSERT INTO tenant_rates SELECT tenant_id, 'claim', now() + interval '1 day' FROM "
                "tenant_limits",
            "",
            {"bench_tokens", jobs}};
}

void prepare(Case &one) {
    make_database(one.queue.database);
    Connection connection(one.queue.database);
    if (!one.limits.empty())
        connection.run(one.limits);
    fairq_queue().load(connection, one.queue.jobs);
    if (!one.held.empty())
        connection.run(one.held);
    connection.run("VACUUM ANALYZE");
}

void compare(Report &report, const Size &size, const std::string &name, std::vector<Case> cases,
             double most) {
    for (Case &one : cases)
        prepare(one);
    for (int round = 0; round < size.rounds; ++round)
        for (Case &one : cases)
            look_at(one.queue, {size.quick ? 5 : kClaims, false, true});
    std::vector<Fields> rows;
    const Queue &base = cases.front().queue;
    for (const Case &one : cases) {
        const Samples p50 = one.queue.p50.over(base.p50);
        rows.push_back({{"tenants", one.name},
                        {"claim p50 ms", figure(one.queue.p50, 3)},
                        {"x no limits", figure(p50, 2)},
                        {"target", &one == &cases.front()
                                       ? ""
                                       : report.target(name + ", " + one.name, p50.median(), at_most(most))},
                        {"p99 ms", figure(one.queue.p99, 3)},
                        {"jobs a claim", figure(one.queue.given, 1)},
                        {"us/job", figure(one.queue.per_job, 1)},
                        {"x no limits ", figure(one.queue.per_job.over(base.per_job), 2)}});
    }
    report.table(name,
                 fmt::format("claim of {}, {} tenants, {} queued, one connection, async", kBatch,
                             base.jobs.tenants, base.jobs.count),
                 rows);
    for (const Case &one : cases)
        drop_database(one.queue.database);
}

} // namespace

void measure_limits(Report &report, const Size &size) {
    const Jobs few{size.jobs(kFewJobs), kFewTenants};
    std::vector<Case> cases{no_limits("bench_unlimited", few), all_limited(few)};
    compare(report, size, "limits: what they cost", cases, 2);
    const Jobs many{size.jobs(kManyJobs), size.jobs(kManyTenants)};
    compare(report, size, "limits: tenants that may not run",
            {no_limits("bench_unlimited", many), paused(many), at_cap(many), out_of_tokens(many)}, 3);
}

} // namespace fairq::bench
