// group_empty.cpp: claims that find nothing, because nothing is queued or because all tenants are at their
// caps: cheap, and without a trace.
#include <memory>

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
    Samples ms{}; ///< the medians of its windows
    double least_wal = 1e18,
           least_xids = 1e18; ///< of the windows: the server writes something of its own now and then
    std::vector<Batch> held{};
    std::unique_ptr<Connection> admin{}, worker{};
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

void window(Case &one) {
    Connection &admin = *one.admin, &worker = *one.worker;
    const double wal = wal_position(admin), xid = next_xid(admin);
    std::vector<Batch> given;
    Samples ms;
    for (int i = 0; i < kClaims; ++i) {
        const Stopwatch watch;
        const Batch batch = one.empty ? fairq_queue().take(worker, {}) : fairq_queue().claim(worker, {});
        ms.add(watch.seconds() * 1000);
        if (one.empty && !batch.ids.empty())
            throw std::runtime_error(fmt::format("{}: a claim gave {} jobs", one.name, batch.ids.size()));
        given.push_back(batch);
    }
    one.ms.add(ms.median());
    one.least_wal = std::min(one.least_wal, (wal_position(admin) - wal) / kClaims);
    one.least_xids = std::min(one.least_xids, (next_xid(admin) - xid) / kClaims);
    for (const Batch &batch : given)
        if (!batch.ids.empty())
            fairq_queue().complete(worker, batch);
}

void get_ready(Case &one) {
    one.admin = std::make_unique<Connection>(one.queue.database);
    one.worker = std::make_unique<Connection>(one.queue.database);
    one.worker->run("SET synchronous_commit = off");
    for (const Batch &batch : one.held)
        one.admin->run(fmt::format("SELECT heartbeat_jobs({})", batch.lock_token));
    if (!one.empty)
        fairq_queue().load(*one.admin, kQueued);
    fairq_queue().finish(*one.worker, fairq_queue().take(*one.worker, {}));
}

void look_in_turns(std::vector<Case> &cases, int rounds) {
    for (int round = 0; round < rounds; ++round) {
        for (Case &one : cases)
            get_ready(one);
        for (int i = 0; i < kWindows; ++i)
            for (Case &one : cases)
                window(one);
    }
    for (Case &one : cases) {
        one.admin.reset();
        one.worker.reset();
    }
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
    look_in_turns(cases, size.rounds);
    std::vector<Fields> rows;
    for (const Case &one : cases) {
        const Samples ratio = one.ms.over(cases.front().ms);
        rows.push_back({{"case", one.name},
                        {"claim ms", figure(one.ms, 4)},
                        {"x claim of 50", figure(ratio, 3)},
                        {"target", !one.empty ? ""
                                              : report.target(fmt::format("empty claim, {}", one.name),
                                                              ratio.median(), at_most(0.2))},
                        {"WAL bytes/claim", one.least_wal},
                        {"xids/claim", one.least_xids}});
    }
    check(report, cases);
    report.table("empty claims", "one connection, async; WAL and xids: the least of several windows", rows);
    for (const Case &one : cases)
        drop_database(one.queue.database);
}

} // namespace fairq::bench
