// group_buffers.cpp: checks that the pages that a claim reads do not grow with the jobs and tenants that
// wait. The same check has to fail for claims whose pages do grow. It takes the least of some claims, because
// a claim also rescans the lane index, for as long as the time since the last rescan allows.
#include <fmt/format.h>

#include "contender.hpp"
#include "groups.hpp"
#include "measure.hpp"

namespace fairq::bench {
namespace {

constexpr const char *kDatabase = "bench_buffers";
constexpr int kClaims = 9;
constexpr double kMostGrowth =
    1.5; // a claim looks at more on the side the more time has passed; what grows does so many times over

struct Row {
    const char *name;
    Jobs few, many;
};

Samples claims_of(Connection &admin, const Contender &contender, const Jobs &jobs) {
    contender.load(admin, jobs);
    Connection worker(kDatabase);
    contender.complete(worker, contender.claim(worker, {1})); // reads the catalog
    Samples buffers;
    for (int i = 1; i <= kClaims; ++i) {
        contender.claim(worker, {1 + (2 * i - 1) * kBatch}); // takes the time that has gone by upon itself
        const auto [statement, values] = contender.claim_statement({1 + 2 * i * kBatch});
        buffers.add(static_cast<double>(worker.buffers(statement, values)));
        contender.finish_all(worker);
    }
    contender.clear(admin);
    return buffers;
}

Fields compare(Report &report, Connection &admin, const Contender &contender, const Row &row, bool expected) {
    const double few = claims_of(admin, contender, row.few).least();
    const double many = claims_of(admin, contender, row.many).least();
    const std::string name =
        fmt::format("a claim touches no more pages with the {}, within a half", row.name);
    const std::string found = fmt::format("{}: {:.0f} and {:.0f}", contender.name, few, many);
    const bool holds = many <= kMostGrowth * few; // fewer are welcome: neighbouring lanes may share pages
    if (expected)
        report.check(name, holds, found);
    else
        report.can_fail(name, holds, found);
    return {{"contender", contender.name},
            {"queued", fmt::format("{} and {}", row.few.count, row.many.count)},
            {"tenants", fmt::format("{} and {}", row.few.tenants, row.many.tenants)},
            {"buffers, few", few},
            {"buffers, many", many},
            {"ratio", many / few}};
}

} // namespace

void look_at_buffers(Report &report, const Size &size) {
    make_database(kDatabase);
    Connection admin(kDatabase);
    const long long most = size.quick ? 100'000 : 1'000'000;
    const Row depth{"depth", {5'000, 10}, {most, 10}};
    // In both a claim of 50 has a lane for each job, and comes by no lane twice.
    const Row tenants{"number of tenants", {100'000, 1'000}, {100'000, 10'000}};
    std::vector<Fields> rows;
    rows.push_back(compare(report, admin, fairq_queue(), depth, true));
    rows.push_back(compare(report, admin, window_claim(), {"depth", {5'000, 10}, {50'000, 10}}, false));
    rows.push_back(compare(report, admin, fairq_queue(), tenants, true));
    rows.push_back(
        compare(report, admin, loose_scan(), {"number of tenants", {50'000, 100}, {50'000, 5'000}}, false));
    for (const Contender *contender : {&floor_pair(), &hot_pair(), &skip_locked()})
        rows.push_back({{"contender", contender->name},
                        {"queued", std::to_string(5'000)},
                        {"tenants", "10"},
                        {"buffers, few", claims_of(admin, *contender, {5'000, 10}).least()},
                        {"buffers, many", nullptr},
                        {"ratio", nullptr}});
    report.table("buffers", fmt::format("pages that a claim of {} touches; least of {}", kBatch, kClaims),
                 rows);
    drop_database(kDatabase);
}

} // namespace fairq::bench
