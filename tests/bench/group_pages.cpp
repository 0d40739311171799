// group_pages.cpp: what does not depend on time: HOT updates, new index entries, sequential scans, WAL,
// commits. The same checks are made on a live table that was spoilt on purpose, where each of them has to say
// no.
#include <fmt/format.h>

#include "contender.hpp"
#include "groups.hpp"
#include "measure.hpp"

namespace fairq::bench {
namespace {

constexpr const char *kDatabase = "bench_pages";
constexpr int kBatches = 100;
constexpr long long kJobs = kBatches * kBatch;
constexpr double kLeastHotShare = 95;
constexpr double kMostWal = 0.65; // of floor's; the target is 0.8

// A claim changes what these have; and no index has what the last statement asks for.
constexpr const char *kSpoil = "CREATE INDEX ON job_live (lock_token, updated_at, attempts, locked_by);"
                               "CREATE INDEX ON job_live (locked_at, lock_token, locked_by, updated_at)";
constexpr const char *kScan = "SELECT count(*) FROM job_live WHERE last_error = 'none'";

struct Pages {
    long long updates, hot_updates, index_bytes;
    double wal, xid;
};

Pages pages_of(Connection &connection, const Contender &contender) {
    const Result row = connection.run(fmt::format("SELECT n_tup_upd, n_tup_hot_upd, pg_indexes_size(relid), "
                                                  "pg_snapshot_xmax(pg_current_snapshot())::text "
                                                  "FROM pg_stat_user_tables WHERE relid = '{}'::regclass",
                                                  contender.table));
    return {row.integer(0, 0), row.integer(0, 1), row.integer(0, 2), wal_position(connection),
            row.number(0, 3)};
}

long long sequential_scans(Connection &connection) {
    return connection
        .run("SELECT sum(seq_scan) FROM pg_stat_user_tables WHERE relname = 'job_live' OR relname LIKE "
             "'job_history%'")
        .integer();
}

struct Seen {
    double hot_share, claim_index_bytes, complete_index_bytes, claim_wal, complete_wal, commits;
    long long scans;
    double wal() const { return claim_wal + complete_wal; }
};

/// In a session that has ended afterwards. Those that load and spoil scan, too: whatever makes an index does.
template <typename Work>
void alone(Connection &admin, const Work &work) {
    auto session = std::make_unique<Connection>(kDatabase);
    work(*session);
    end_session(admin, std::move(session));
}

void run_alone(Connection &admin, const std::string &statement) {
    alone(admin, [&](Connection &session) { session.run(statement); });
}

/// also: a statement that a worker runs besides.
Seen work_and_look(Connection &connection, const Contender &contender, const std::string &also) {
    run_alone(connection, also); // the first time metrics count, by scans
    const Pages start = pages_of(connection, contender);
    const long long scans = sequential_scans(connection);
    std::vector<Batch> batches;
    alone(connection, [&](Connection &worker) {
        for (int i = 0; i < kBatches; ++i)
            batches.push_back(contender.claim(worker, {1 + i * kBatch}));
    });
    const Pages claimed = pages_of(connection, contender);
    alone(connection, [&](Connection &worker) {
        for (const Batch &batch : batches)
            contender.complete(worker, batch);
    });
    const Pages completed = pages_of(connection, contender);
    run_alone(connection, also);
    const auto a_job = [](auto difference) { return static_cast<double>(difference) / kJobs; };
    return {100.0 * static_cast<double>(claimed.hot_updates - start.hot_updates) /
                static_cast<double>(claimed.updates - start.updates),
            a_job(claimed.index_bytes - start.index_bytes),
            a_job(completed.index_bytes - claimed.index_bytes),
            a_job(claimed.wal - start.wal),
            a_job(completed.wal - claimed.wal),
            a_job(completed.xid - start.xid),
            sequential_scans(connection) - scans};
}

using Check = void (Report::*)(const std::string &name, bool holds, const std::string &found);

void check(Report &report, Check says, const Seen &seen, const Seen &floor) {
    (report.*says)("claims are HOT updates", seen.hot_share >= kLeastHotShare,
                   fmt::format("{:.1f} %", seen.hot_share));
    (report.*says)("a claim adds nothing to an index of job_live", seen.claim_index_bytes == 0,
                   fmt::format("{:.1f} bytes a job", seen.claim_index_bytes));
    (report.*says)("claim, complete and metrics never scan job_live or job_history", seen.scans == 0,
                   fmt::format("{} sequential scans", seen.scans));
    (report.*says)(fmt::format("claim and complete write less than {}x floor's WAL", kMostWal),
                   seen.wal() < kMostWal * floor.wal(),
                   fmt::format("{:.0f} of {:.0f} bytes a job", seen.wal(), floor.wal()));
}

Fields row(const std::string &name, const Seen &seen, const Seen &floor) {
    return {{"contender", name},
            {"HOT share of claims, %", seen.hot_share},
            {"index bytes/job: claim", seen.claim_index_bytes},
            {"complete", seen.complete_index_bytes},
            {"WAL bytes/job: claim", seen.claim_wal},
            {"complete ", seen.complete_wal},
            {"both", seen.wal()},
            {"x floor", seen.wal() / floor.wal()},
            {"commits/job", seen.commits}};
}

} // namespace

void look_at_pages(Report &report, const Size &) {
    make_database(kDatabase);
    Connection connection(kDatabase);
    const std::string metrics = "SELECT get_load_test_metrics(), get_queue_metrics()";
    const Jobs jobs{2 * kJobs, 10};
    std::vector<Fields> rows;
    const auto seen_of = [&](const Contender &contender, const std::string &also) {
        alone(connection, [&](Connection &loader) { contender.load(loader, jobs); });
        return work_and_look(connection, contender, also);
    };
    const Seen floor = seen_of(floor_pair(), metrics);
    const Seen fairq = seen_of(fairq_queue(), metrics);
    rows.push_back(row("fairq", fairq, floor));
    rows.push_back(row("floor", floor, floor));
    for (const Contender *contender : {&hot_pair(), &hot_pair_in_order(), &skip_locked(), &loose_scan()})
        rows.push_back(row(contender->name, seen_of(*contender, metrics), floor));
    rows[0]["target"] =
        report.target("WAL of claim + complete, x floor", fairq.wal() / floor.wal(), at_most(0.8));
    check(report, &Report::check, fairq, floor);
    report.check("a completion adds nothing to an index of job_live", fairq.complete_index_bytes == 0,
                 fmt::format("{:.1f} bytes a job", fairq.complete_index_bytes));
    run_alone(connection, kSpoil);
    check(report, &Report::can_fail, seen_of(fairq_queue(), kScan), floor);
    for (Fields &each : rows)
        each.emplace("target", "");
    report.table(
        "pages",
        "one connection, no checkpoint in between; indexes are those of the table that a claim updates",
        rows);
    drop_database(kDatabase);
}

} // namespace fairq::bench
