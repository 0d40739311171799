// group_claims.cpp: claim + complete of batches against the floors and a plain queue, by connections and
// commit mode.
#include <atomic>
#include <map>

#include <fmt/format.h>

#include "contender.hpp"
#include "groups.hpp"
#include "measure.hpp"

namespace fairq::bench {
namespace {

constexpr const char *kDatabase = "bench_claims";
constexpr long long kQueued = 60'000;
constexpr long long kJobs = 10'000; // a measurement
constexpr long long kTenants = 10;

struct Setting {
    int connections;
    bool synchronous;
    std::string name() const {
        return fmt::format("{} conn, {}", connections, synchronous ? "sync" : "async");
    }
};

constexpr Setting kSettings[] = {{1, false}, {4, false}, {1, true}, {4, true}};

struct Figures {
    Samples rate, claim_ms, claim_p99_ms, complete_ms, wal;
};

/// Each worker's calls, in milliseconds.
struct Calls {
    Samples claims, completions;
};

Calls work(Connection &connection, const Contender &contender, std::atomic<long long> &next, long long end) {
    Calls calls;
    for (long long first = next.fetch_add(kBatch); first < end; first = next.fetch_add(kBatch)) {
        const Stopwatch claiming;
        const Batch batch = claim(connection, contender, first);
        calls.claims.add(claiming.seconds() * 1000);
        const Stopwatch completing;
        complete(connection, contender, batch);
        calls.completions.add(completing.seconds() * 1000);
    }
    return calls;
}

/// One measurement; takes jobs from `first` on and returns the first that it left.
long long measure(Connection &admin, const Contender &contender, const Setting &setting, long long first,
                  long long jobs, Figures &figures) {
    admin.run("VACUUM " + contender.table);
    const Connections workers = connect(kDatabase, setting.connections, setting.synchronous);
    const long long begin = first + setting.connections * kBatch;
    std::atomic<long long> next{first};
    for (const auto &worker : workers) // its first calls prepare, plan and fill caches
        complete(*worker, contender, claim(*worker, contender, next.fetch_add(kBatch)));
    const double wal = wal_position(admin);
    std::vector<Calls> calls(workers.size());
    const double seconds = in_parallel(workers, [&](Connection &worker, std::size_t i) {
        calls[i] = work(worker, contender, next, begin + jobs);
    });
    Calls all;
    for (const Calls &each : calls) {
        all.claims.add(each.claims);
        all.completions.add(each.completions);
    }
    figures.rate.add(static_cast<double>(jobs) / seconds);
    figures.claim_ms.add(all.claims.median());
    figures.claim_p99_ms.add(all.claims.percentile(99));
    figures.complete_ms.add(all.completions.median());
    figures.wal.add((wal_position(admin) - wal) / static_cast<double>(jobs));
    return begin + jobs;
}

using AllFigures = std::map<std::string, std::map<std::string, Figures>>; // by setting, by contender

void print(Report &report, AllFigures &all, long long jobs) {
    std::vector<Fields> rows;
    for (const Setting &setting : kSettings)
        for (const Contender &contender : contenders()) {
            const Figures &figures = all[setting.name()][contender.name];
            const auto ratio = [&](const char *other) {
                return spread(figures.rate.over(all[setting.name()][other].rate), 2);
            };
            rows.push_back({{"setting", setting.name()},
                            {"contender", contender.name},
                            {"jobs/s", spread(figures.rate, 0)},
                            {"x floor", ratio("floor")},
                            {"x floor-hot", ratio("floor-hot")},
                            {"x skip-locked", ratio("skip-locked")},
                            {"claim ms", figures.claim_ms.median()},
                            {"p99", figures.claim_p99_ms.median()},
                            {"complete ms", figures.complete_ms.median()},
                            {"WAL bytes/job", figures.wal.median()}});
        }
    std::string note =
        fmt::format("batches of {}, {} tenants, {} queued, {} jobs a measurement, vacuumed before each; "
                    "median [least-most] of the rounds",
                    kBatch, kTenants, kQueued, jobs);
    for (const Contender &contender : contenders())
        note += fmt::format("\n  {}: {}", contender.name, contender.about);
    report.table("claim + complete", note, rows);
}

} // namespace

void compare_claims(Report &report, const Size &size) {
    make_database(kDatabase);
    Connection admin(kDatabase);
    const long long jobs = size.jobs(kJobs);
    AllFigures all;
    for (int round = 0; round < size.rounds; ++round)
        for (const Contender &contender : contenders()) {
            admin.run("CHECKPOINT");
            load(admin, contender, size.quick ? kQueued / 10 : kQueued, kTenants);
            long long first = 1;
            for (const Setting &setting : kSettings)
                first = measure(admin, contender, setting, first, jobs, all[setting.name()][contender.name]);
        }
    print(report, all, jobs);
}

} // namespace fairq::bench
