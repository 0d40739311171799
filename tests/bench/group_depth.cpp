// group_depth.cpp: is a claim's price that of its jobs alone, however many wait and however many tenants
// there are? And what the metrics cost at a million rows.
#include <fmt/format.h>

#include "contender.hpp"
#include "groups.hpp"
#include "measure.hpp"

namespace fairq::bench {
namespace {

constexpr int kClaims = 100; // a round
constexpr int kBetweenRefills = 20;
constexpr int kMetricsCalls = 100;

struct Depth {
    std::string database;
    long long queued, tenants;
    Samples all{}, p50{}, p99{};
};

std::vector<Depth> depths(bool quick) {
    if (quick)
        return {{"bench_10k", 5'000, 10},
                {"bench_100k", 10'000, 10},
                {"bench_1m", 20'000, 10},
                {"bench_tenants_1k", 20'000, 100},
                {"bench_tenants_100k", 20'000, 1'000}};
    return {{"bench_10k", 10'000, 10},
            {"bench_100k", 100'000, 10},
            {"bench_1m", 1'000'000, 10},
            {"bench_tenants_1k", 1'000'000, 1'000},
            {"bench_tenants_100k", 1'000'000, 100'000}};
}

void prepare(Depth &depth) {
    make_database(depth.database);
    Connection connection(depth.database);
    load(connection, fairq_queue(), depth.queued, depth.tenants);
}

void measure(Depth &depth, int claims) {
    Connection connection(depth.database), feeder(depth.database);
    connection.run("SET synchronous_commit = off");
    complete(connection, fairq_queue(), claim(connection, fairq_queue(), 0));
    Samples round;
    for (int i = 1; i <= claims; ++i) {
        const Stopwatch watch;
        const Batch batch = claim(connection, fairq_queue(), 0);
        round.add(watch.seconds() * 1000);
        complete(connection, fairq_queue(), batch);
        if (i % kBetweenRefills == 0)
            add(feeder, fairq_queue(), kBetweenRefills * kBatch, depth.tenants);
    }
    feeder.run("VACUUM job_live");
    depth.p50.add(round.median());
    depth.p99.add(round.percentile(99));
}

void print(Report &report, const std::vector<Depth> &all, const Depth &base, const std::string &name) {
    std::vector<Fields> rows;
    for (const Depth &depth : all)
        rows.push_back({{"queued", depth.queued},
                        {"tenants", depth.tenants},
                        {"p50 ms", spread(depth.p50, 3)},
                        {"x first", spread(depth.p50.over(base.p50), 2)},
                        {"p99 ms", spread(depth.p99, 3)},
                        {"x first ", spread(depth.p99.over(base.p99), 2)}});
    report.table(name, fmt::format("claim of {}, one connection, async", kBatch), rows);
}

void measure_metrics(Report &report, const Depth &depth) {
    Connection connection(depth.database);
    const Stopwatch first;
    connection.run("SELECT get_load_test_metrics()");
    const double first_ms = first.seconds() * 1000;
    Samples calls;
    for (int i = 0; i < kMetricsCalls; ++i) {
        const Stopwatch watch;
        connection.query("SELECT get_load_test_metrics()", {});
        calls.add(watch.seconds() * 1000);
    }
    const bool exact = connection.run("SELECT get_load_test_metrics() ->> 'exact'").text() == "true";
    report.table("get_load_test_metrics()", "",
                 {{{"load-test jobs", depth.queued},
                   {"exact", exact},
                   {"first call ms (counts)", first_ms},
                   {"p50 ms", calls.median()},
                   {"p99 ms", calls.percentile(99)},
                   {"worst ms", calls.most()}}});
}

} // namespace

void vary_depth(Report &report, const Size &size) {
    std::vector<Depth> all = depths(size.quick);
    for (Depth &depth : all)
        prepare(depth);
    for (int round = 0; round < size.rounds; ++round)
        for (Depth &depth : all)
            measure(depth, size.quick ? kBetweenRefills : kClaims);
    print(report, {all[0], all[1], all[2]}, all[0], "claim by depth");
    print(report, {all[2], all[3], all[4]}, all[2], "claim by tenants");
    measure_metrics(report, all[2]);
    for (const Depth &depth : all)
        drop_database(depth.database);
}

} // namespace fairq::bench
