// group_empty.cpp: claims that find nothing, because nothing is queued or because everybody is at its cap:
// cheap, and without a trace.
#include <fmt/format.h>

#include "groups.hpp"
#include "work.hpp"

namespace fairq::bench {
namespace {

constexpr int kWindows = 5, kClaims = 40; // in a round
constexpr int kTenants = 10, kCap = 25;
constexpr Jobs kQueued{20'000, kTenants};

struct Case {
    const char *name;
    Queue queue;
    bool empty;
    Samples ms{};
    double least_wal = 1e18,
           least_xids = 1e18; ///< of the windows: the server writes something of its own now and then
    std::vector<Batch> held{};
};

void fill_caps(Case &one) {
    Connection admin(one.queue.database);
    admin.run(fmt::format(
        "SELECT set_tenant_limits('tenant-' || n, max_concurrency => {}) FROM generate_series(1, {}) n", kCap,
        kTenants));
    for (Batch batch = fairq_queue().take(admin, {}); !batch.ids.empty();
         batch = fairq_queue().take(admin, {}))
        one.held.push_back(batch);
}

double next_xid(Connection &connection) {
    return connection.run("SELECT pg_snapshot_xmax(pg_current_snapshot())::text").number();
}

void window(Case &one, Connection &admin, Connection &worker) {
    const double wal = wal_position(admin), xid = next_xid(admin);
    std::vector<Batch> given;
    for (int i = 0; i < kClaims; ++i) {
        const Stopwatch watch;
        const Batch batch = one.empty ? fairq_queue().take(worker, {}) : fairq_queue().claim(worker, {});
        one.ms.add(watch.seconds() * 1000);
        if (one.empty && !batch.ids.empty())
            throw std::runtime_error(fmt::format("{}: a claim gave {} jobs", one.name, batch.ids.size()));
        given.push_back(batch);
    }
    one.least_wal = std::min(one.least_wal, (wal_position(admin) - wal) / kClaims);
    one.least_xids = std::min(one.least_xids, (next_xid(admin) - xid) / kClaims);
    for (const Batch &batch : given)
        if (!batch.ids.empty())
            fairq_queue().complete(worker, batch);
}

void look(Case &one) {
    Connection admin(one.queue.database), worker(one.queue.database);
    worker.run("SET synchronous_commit = off");
    for (const Batch &batch : one.held)
        admin.run(fmt::format("SELECT heartbeat_jobs({})", batch.lock_token));
    if (!one.empty)
        fairq_queue().load(admin, kQueued);
    fairq_queue().finish(worker, fairq_queue().take(worker, {}));
    for (int i = 0; i < kWindows; ++i)
        window(one, admin, worker);
}

void check(Report &report, const std::vector<Case> &cases) {
    const std::string rule = "a claim that finds nothing writes nothing";
    for (const Case &one : cases) {
        const bool nothing = one.least_wal == 0 && one.least_xids == 0;
        const std::string found = fmt::format("{}: {:.0f} bytes, {:.1f} transactions a claim", one.name,
                                              one.least_wal, one.least_xids);
        if (one.empty)
            report.check(rule, nothing, found);
        else
            report.can_fail(rule, nothing, found);
    }
}

} // namespace

void claim_nothing(Report &report, const Size &size) {
    std::vector<Case> cases;
    cases.push_back({"jobs are there", {"bench_full", kQueued}, false});
    cases.push_back({"nothing is queued", {"bench_empty", {0, kTenants}}, true});
    cases.push_back({"everything at its cap", {"bench_capped", kQueued}, true});
    for (Case &one : cases)
        prepare(one.queue);
    fill_caps(cases.back());
    std::vector<Samples> rounds(cases.size());
    for (int round = 0; round < size.rounds; ++round)
        for (std::size_t i = 0; i < cases.size(); ++i) {
            cases[i].ms = {};
            look(cases[i]);
            rounds[i].add(cases[i].ms.median());
        }
    std::vector<Fields> rows;
    for (std::size_t i = 0; i < cases.size(); ++i) {
        const Samples ratio = rounds[i].over(rounds[0]);
        rows.push_back({{"case", cases[i].name},
                        {"claim ms", figure(rounds[i], 4)},
                        {"x claim of 50", figure(ratio, 3)},
                        {"target", i == 0 ? ""
                                          : report.target(fmt::format("empty claim, {}", cases[i].name),
                                                          ratio.median(), at_most(0.2))},
                        {"WAL bytes/claim", cases[i].least_wal},
                        {"xids/claim", cases[i].least_xids}});
    }
    check(report, cases);
    report.table("empty claims", "one connection, async; WAL and xids: the least of several windows", rows);
    for (const Case &one : cases)
        drop_database(one.queue.database);
}

} // namespace fairq::bench
