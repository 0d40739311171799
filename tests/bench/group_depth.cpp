// group_depth.cpp: is a claim's price that of its jobs alone, however many wait and however many tenants
// there are? And what the metrics cost at a million rows.
#include <fmt/format.h>

#include "groups.hpp"
#include "work.hpp"

namespace fairq::bench {
namespace {

constexpr int kTurns = 2, kClaims = 200; // a round
constexpr int kMetricsCalls = 100;
constexpr double kMinutesForTenMillion = 30;

struct Column {
    std::string name;
    Bound p50, p99;
    bool judge_p99;
};

void look_in_turns(std::vector<Queue> &queues, const Size &size) {
    for (Queue &queue : queues)
        prepare(queue);
    for (int turn = 0; turn < (size.quick ? 1 : kTurns * size.rounds); ++turn)
        for (Queue &queue : queues)
            look_at(queue, {size.quick ? 20 : kClaims});
}

void print(Report &report, const std::vector<Queue> &queues, const Column &column) {
    std::vector<Fields> rows;
    const Queue &base = queues.front();
    for (const Queue &queue : queues) {
        const Samples p50 = queue.p50.over(base.p50), p99 = queue.p99.over(base.p99);
        const std::string what =
            fmt::format("{}: {} queued, {} tenants, ", column.name, queue.jobs.count, queue.jobs.tenants);
        const bool judge = &queue != &base;
        rows.push_back(
            {{"queued", queue.jobs.count},
             {"tenants", queue.jobs.tenants},
             {"p50 ms", figure(queue.p50, 3)},
             {"x first", figure(p50, 2)},
             {"target", judge ? report.target(what + "p50", p50.median(), column.p50) : ""},
             {"p99 ms", figure(queue.p99, 3)},
             {"x first ", figure(p99, 2)},
             {"target ",
              judge && column.judge_p99 ? report.target(what + "p99", p99.median(), column.p99) : ""}});
    }
    report.table(column.name, fmt::format("claim of {}, one connection, async", kBatch), rows);
}

void measure_metrics(Report &report, const Queue &queue) {
    Connection connection(queue.database);
    const Stopwatch first;
    connection.run("SELECT get_load_test_metrics()");
    const double first_ms = first.seconds() * 1000;
    Samples calls;
    for (int i = 0; i < kMetricsCalls; ++i) {
        const Stopwatch watch;
        connection.query("SELECT get_load_test_metrics()", {});
        calls.add(watch.seconds() * 1000);
    }
    const bool kept = connection.run("SELECT get_load_test_metrics() ->> 'source'").text() == "kept";
    report.table("get_load_test_metrics()", "",
                 {{{"load-test jobs", queue.jobs.count},
                   {"kept", kept},
                   {"first call ms (counts)", first_ms},
                   {"p50 ms", calls.median()},
                   {"p99 ms", calls.percentile(99)},
                   {"worst ms", calls.most()}}});
}

void drop(const std::vector<Queue> &queues) {
    for (const Queue &queue : queues)
        drop_database(queue.database);
}

} // namespace

void vary_depth(Report &report, const Size &size) {
    std::vector<Queue> queues{{"bench_10k", {std::min(10'000LL, size.jobs(1'000'000)), 10}},
                              {"bench_100k", {size.jobs(100'000), 10}},
                              {"bench_1m", {size.jobs(1'000'000), 10}}};
    const Queue largest{"bench_10m", {10'000'000, 10}};
    if (size.minutes >= kMinutesForTenMillion)
        queues.push_back(largest);
    look_in_turns(queues, size);
    print(report, queues, {"claim by depth", at_most(1.25), at_most(2), true});
    measure_metrics(report, queues[2]);
    drop(queues);
}

void vary_tenants(Report &report, const Size &size) {
    const long long jobs = size.jobs(1'000'000);
    std::vector<Queue> queues{{"bench_tenants_10", {jobs, 10}},
                              {"bench_tenants_1k", {jobs, size.quick ? 100 : 1'000}},
                              {"bench_tenants_100k", {jobs, std::min(100'000LL, jobs)}}};
    look_in_turns(queues, size);
    print(report, queues, {"claim by tenants", at_most(1.5), at_most(1.5), false});
    drop(queues);
}

} // namespace fairq::bench
