// group_ticks.cpp: what ticks get done: no-op handlers (the price of a tick itself) and handlers that take 10
// ms.
#include <string_view>

#include <fmt/format.h>

#include "contender.hpp"
#include "groups.hpp"
#include "work.hpp"

namespace fairq::bench {
namespace {

constexpr const char *kDatabase = "bench_ticks";
constexpr int kUsualJobsPerWorker = 50;
constexpr long long kOneByOne = 2'000;
constexpr std::string_view kNoOp = "no-op";

struct Tick {
    std::string_view handler;
    int workers, jobs_per_worker;
    int jobs() const { return workers * jobs_per_worker; }
    Samples rate{}, milliseconds{};
    Figures external{}; ///< workers of another process on as many connections, right after it
    bool has_external() const { return handler == kNoOp; }
};

std::vector<Tick> ticks(bool quick) {
    const int few = quick ? 100 : 1000;
    return {{kNoOp, 1, 2 * few},
            {kNoOp, 4, few / 2},
            {kNoOp, 1, kUsualJobsPerWorker},
            {kNoOp, 4, kUsualJobsPerWorker},
            {"10 ms", 1, few / 20},
            {"10 ms", 4, few / 20}};
}

void prepare(Connection &connection) {
    connection.run(R"(
CREATE FUNCTION no_op(job job_queue) RETURNS void LANGUAGE plpgsql AS 'BEGIN END';
CREATE FUNCTION ten_ms(job job_queue) RETURNS void LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.01); END';
SELECT register_job_handler('no-op', 'no_op(job_queue)');
SELECT register_job_handler('10 ms', 'ten_ms(job_queue)');
SET fairq.tick_tenant_cap = 1000000)");
}

void measure(Connection &connection, Tick &tick) {
    connection.run("TRUNCATE job_live, job_leases, job_history");
    connection.run(fmt::format("SELECT count(*) FROM (SELECT array_agg('tenant-' || n % 10) AS tenants FROM "
                               "generate_series(1, {}) AS n) AS new, enqueue_jobs(new.tenants, '{}')",
                               tick.jobs(), tick.handler));
    connection.run(fmt::format("SET fairq.tick_jobs_per_worker = {}", tick.jobs_per_worker));
    const Stopwatch watch;
    const long long completed =
        connection.run(fmt::format("SELECT run_job_queue_parallel({}) ->> 'completed'", tick.workers))
            .integer();
    const double seconds = watch.seconds();
    if (completed != tick.jobs())
        throw std::runtime_error(fmt::format("a tick completed {} of {} jobs", completed, tick.jobs()));
    tick.rate.add(tick.jobs() / seconds);
    tick.milliseconds.add(seconds * 1000);
}

/// External workers that claim and complete one by one.
void measure_external(Connection &admin, Tick &tick, long long jobs) {
    const Setting setting{tick.workers, true, 1};
    fairq_queue().load(admin, {needed(setting, jobs), 10});
    work_off(admin, kDatabase, fairq_queue(), setting, 1, jobs, tick.external);
}

Fields row(Report &report, const Tick &tick) {
    const Samples &external = tick.external.rate;
    const Samples ratio = tick.rate.over(external);
    const bool judge = tick.jobs() >= kOneByOne;
    return {{"handler", std::string(tick.handler)},
            {"workers", tick.workers},
            {"jobs in the tick", tick.jobs()},
            {"jobs/s", figure(tick.rate, 0)},
            {"tick ms", figure(tick.milliseconds, 0)},
            {"external workers, jobs/s", figure(external, 0)},
            {"ratio", figure(ratio, 2)},
            {"target", judge ? report.target(fmt::format("tick of {} jobs, {} workers, x external workers",
                                                         tick.jobs(), tick.workers),
                                             ratio.median(), at_least(1.5))
                             : ""}};
}

} // namespace

void measure_ticks(Report &report, const Size &size) {
    make_database(kDatabase);
    Connection connection(kDatabase);
    prepare(connection);
    std::vector<Tick> all = ticks(size.quick);
    for (int round = 0; round < size.rounds; ++round)
        for (Tick &tick : all) {
            measure(connection, tick);
            if (tick.has_external())
                measure_external(connection, tick, size.jobs(kOneByOne));
        }
    std::vector<Fields> rows;
    for (const Tick &tick : all)
        rows.push_back(row(report, tick));
    report.table(
        "ticks",
        "start of the workers included, synchronous commits, each job in a transaction of its own; external "
        "workers claim and complete one by one, on as many connections",
        rows);
    drop_database(kDatabase);
}

} // namespace fairq::bench
