// group_pages.cpp: what does not depend on time: HOT updates, new index entries, sequential scans, WAL.
#include <chrono>
#include <thread>

#include <fmt/format.h>

#include "contender.hpp"
#include "groups.hpp"
#include "measure.hpp"

namespace fairq::bench {
namespace {

constexpr const char *kDatabase = "bench_pages";
constexpr int kBatches = 100;
constexpr double kJobs = kBatches * kBatch;
constexpr double kLeastHotShare = 95;
constexpr std::chrono::seconds kPatience{10};

struct Pages {
    long long updates, hot_updates, index_bytes;
    double wal;
};

Pages pages_of(Connection &connection, const Contender &contender) {
    const Result row = connection.run(fmt::format("SELECT n_tup_upd, n_tup_hot_upd, pg_indexes_size(relid) "
                                                  "FROM pg_stat_user_tables WHERE relid = '{}'::regclass",
                                                  contender.table));
    return {row.integer(0, 0), row.integer(0, 1), row.integer(0, 2), wal_position(connection)};
}

/// A session's statistics arrive some time after it has ended.
Pages pages_after(Connection &connection, const Contender &contender, long long updates) {
    const Stopwatch watch;
    Pages pages = pages_of(connection, contender);
    while (pages.updates < updates && watch.seconds() < static_cast<double>(kPatience.count())) {
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
        pages = pages_of(connection, contender);
    }
    return pages;
}

long long sequential_scans(Connection &connection) {
    return connection
        .run("SELECT sum(seq_scan) FROM pg_stat_user_tables WHERE relname = 'job_live' OR relname LIKE "
             "'job_history%'")
        .integer();
}

struct Seen {
    long long scans;
    double hot_share, claim_index_bytes, complete_index_bytes, claim_wal, complete_wal;
};

Seen work_and_look(Connection &connection, const Contender &contender) {
    load(connection, contender, 2 * static_cast<long long>(kJobs), 10);
    const Pages start = pages_of(connection, contender);
    const long long scans = sequential_scans(connection);
    std::vector<Batch> batches;
    {
        Connection worker(kDatabase);
        for (int i = 0; i < kBatches; ++i)
            batches.push_back(claim(worker, contender, 1 + i * kBatch));
    }
    const Pages claimed = pages_after(connection, contender, start.updates + static_cast<long long>(kJobs));
    {
        Connection worker(kDatabase);
        for (const Batch &batch : batches)
            complete(worker, contender, batch);
    }
    const Pages completed = pages_of(connection, contender);
    if (contender.setup.empty())
        Connection(kDatabase).run("SELECT get_load_test_metrics(), get_queue_metrics()");
    return {sequential_scans(connection) - scans,
            100.0 * static_cast<double>(claimed.hot_updates - start.hot_updates) /
                static_cast<double>(claimed.updates - start.updates),
            static_cast<double>(claimed.index_bytes - start.index_bytes) / kJobs,
            static_cast<double>(completed.index_bytes - claimed.index_bytes) / kJobs,
            (claimed.wal - start.wal) / kJobs,
            (completed.wal - claimed.wal) / kJobs};
}

void check_fairq(Report &report, const Seen &seen) {
    report.check("claims are HOT updates", seen.hot_share >= kLeastHotShare,
                 fmt::format("{:.1f} %", seen.hot_share));
    report.check("a claim adds nothing to an index of job_live", seen.claim_index_bytes == 0,
                 fmt::format("{:.1f} bytes a job", seen.claim_index_bytes));
    report.check("a completion adds nothing to an index of job_live", seen.complete_index_bytes == 0,
                 fmt::format("{:.1f} bytes a job", seen.complete_index_bytes));
    report.check("claim, complete and metrics never scan job_live or job_history", seen.scans == 0,
                 fmt::format("{} sequential scans", seen.scans));
}

} // namespace

void look_at_pages(Report &report, const Size &) {
    make_database(kDatabase);
    Connection connection(kDatabase);
    { Connection(kDatabase).run("SELECT get_load_test_metrics()"); } // counts once, by scans
    std::vector<Fields> rows;
    for (const Contender &contender : contenders()) {
        const Seen seen = work_and_look(connection, contender);
        rows.push_back({{"contender", contender.name},
                        {"HOT share of claims, %", seen.hot_share},
                        {"index bytes/job: claim", seen.claim_index_bytes},
                        {"complete", seen.complete_index_bytes},
                        {"WAL bytes/job: claim", seen.claim_wal},
                        {"complete ", seen.complete_wal},
                        {"both", seen.claim_wal + seen.complete_wal}});
        if (contender.setup.empty())
            check_fairq(report, seen);
    }
    report.table(
        "pages",
        "one connection, no checkpoint in between; indexes are those of the table that a claim updates",
        rows);
}

} // namespace fairq::bench
