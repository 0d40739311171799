// group_churn.cpp: jobs come and go by the million without vacuum, because autovacuum is off, or because a
// session holds back what vacuum might remove. The measure is a fresh queue, made anew for each slice; beside
// it runs one that is vacuumed again and again, which gets its space back for nothing: the time of the vacuum
// is not counted.
#include <algorithm>
#include <memory>

#include <fmt/format.h>

#include "groups.hpp"
#include "work.hpp"

namespace fairq::bench {
namespace {

constexpr int kWorkers = 4;
constexpr int kSlices = 10;
constexpr int kLooks = 4, kClaims = 50; // after a slice
constexpr int kTurns = 5;               // a slice
constexpr long long kTurn = 20'000;     // jobs
constexpr Jobs kQueued{10'000, 10};

enum class Horizon { fresh, vacuumed, not_vacuumed, snapshot, xid, ended };

struct Line {
    std::string name;
    Horizon horizon;
    Queue queue;
    Samples rate{};
    std::unique_ptr<Connection> pin{};
};

void hold(Line &line) {
    line.pin = std::make_unique<Connection>(line.queue.database);
    if (line.horizon == Horizon::snapshot)
        line.pin->run("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SELECT count(*) FROM job_live");
    if (line.horizon == Horizon::xid)
        line.pin->run("BEGIN; SELECT pg_current_xact_id()");
}

/// As many jobs come as go. Returns jobs a second.
double work(const Queue &queue, long long jobs) {
    const Connections workers = connect(queue.database, kWorkers, false);
    const long long batches = std::max(1LL, jobs / kBatch / kWorkers);
    const Contender &fairq = fairq_queue();
    const double seconds = in_parallel(workers, [&](Connection &worker, std::size_t) {
        for (long long i = 0; i < batches; ++i) {
            fairq.add(worker, {kBatch, queue.jobs.tenants});
            fairq.complete(worker, fairq.claim(worker, {}));
        }
    });
    return static_cast<double>(batches * kBatch * kWorkers) / seconds;
}

void vacuum(const Queue &queue) {
    Connection connection(queue.database);
    connection.run("VACUUM job_live");
    connection.run("VACUUM job_leases");
}

void vacuum_again(const std::vector<Line> &lines) {
    for (const Line &line : lines)
        if (line.horizon == Horizon::vacuumed)
            vacuum(line.queue);
}

/// Not a new database: to drop the old one would be a checkpoint, after which whole pages are logged.
void make_fresh(const std::vector<Line> &lines) {
    for (const Line &line : lines) {
        if (line.horizon != Horizon::fresh)
            continue;
        Connection connection(line.queue.database);
        connection.run("DROP EXTENSION fairq CASCADE");
        connection.run("CREATE EXTENSION fairq");
        fairq_queue().load(connection, line.queue.jobs);
    }
}

void take_turns(std::vector<Line> &lines, const Size &size, int slices) {
    std::vector<Line *> order;
    for (Line &line : lines)
        order.push_back(&line);
    for (int i = 0; i < slices; ++i) {
        make_fresh(lines);
        for (int turn = 0; turn < kTurns; ++turn) {
            vacuum_again(lines);
            for (Line *line : order)
                line->rate.add(work(line->queue, size.jobs(kTurn)));
            std::rotate(order.begin(), order.begin() + 1,
                        order.end()); // no queue is always the first
        }
        vacuum_again(lines);
        for (int look = 0; look < kLooks; ++look)
            for (Line &line : lines)
                look_at(line.queue, {size.quick ? 10 : kClaims, true, false});
    }
}

void add_rows(Report &report, std::vector<Fields> &rows, const std::vector<Line> &lines) {
    const Line &fresh = lines[0], &vacuumed = lines[1];
    for (const Line &line : lines) {
        const Samples p50 = line.queue.p50.late().over(fresh.queue.p50.late());
        const Samples rate = line.rate.over(fresh.rate);
        const bool measure = &line == &fresh || &line == &vacuumed;
        const bool pinned = line.horizon == Horizon::snapshot || line.horizon == Horizon::xid;
        const double most = line.horizon == Horizon::not_vacuumed ? 1.2 : 1.25;
        rows.push_back(
            {{"queue", line.name},
             {"jobs/s", figure(line.rate, 0)},
             {"x vacuumed", figure(line.rate.over(vacuumed.rate), 2)},
             {"x fresh", figure(rate, 2)},
             {"target",
              pinned ? report.target("churn, " + line.name + ": rate", rate.median(), at_least(0.9)) : ""},
             {"claim p50 ms", figure(line.queue.p50.late(), 3)},
             {"p99", figure(line.queue.p99.late(), 3)},
             {"x fresh ", figure(p50, 2)},
             {"target ",
              measure ? "" : report.target("churn, " + line.name + ": claim", p50.median(), at_most(most))}});
    }
}

/// What the claims are like once the session has ended, still without a vacuum.
std::vector<Line> ended(std::vector<Line> &lines) {
    std::vector<Line> after;
    for (Line &line : lines) {
        line.pin.reset();
        const Queue queue{line.queue.database, line.queue.jobs};
        if (line.horizon == Horizon::fresh || line.horizon == Horizon::vacuumed)
            after.push_back({line.name, line.horizon, queue});
        else if (line.horizon != Horizon::not_vacuumed)
            after.push_back({line.name + ", and has ended", Horizon::ended, queue});
    }
    return after;
}

void run_phase(Report &report, const Size &size, std::vector<Line> lines, std::vector<Fields> &rows) {
    for (Line &line : lines) {
        prepare(line.queue);
        hold(line);
    }
    take_turns(lines, size, size.quick ? 1 : kSlices);
    std::vector<Line> after = ended(lines);
    take_turns(after, size, size.quick ? 1 : kSlices / 2);
    add_rows(report, rows, lines);
    add_rows(report, rows, after);
    for (const Line &line : lines)
        drop_database(line.queue.database);
}

} // namespace

void churn(Report &report, const Size &size) {
    std::vector<Fields> rows;
    // Each by itself beside these two. All of them would not fit into shared_buffers, and an open xid holds
    // back every database's snapshots, and with them which entries scans may flag as dead.
    const std::pair<const char *, Horizon> pressed[] = {{"not vacuumed", Horizon::not_vacuumed},
                                                        {"a snapshot is held", Horizon::snapshot},
                                                        {"a transaction with an xid is open", Horizon::xid}};
    for (const auto &[name, horizon] : pressed) {
        std::vector<Line> lines;
        lines.push_back({"fresh", Horizon::fresh, {"bench_fresh", kQueued}});
        lines.push_back({"vacuumed again and again", Horizon::vacuumed, {"bench_vacuumed", kQueued}});
        lines.push_back({name, horizon, {"bench_churned", kQueued}});
        run_phase(report, size, std::move(lines), rows);
    }
    const int slices = size.quick ? 1 : kSlices;
    report.table(
        "churn",
        fmt::format("{} slices of {} jobs that come and go, {} queued, {} workers, async; claims: of one "
                    "connection, {} of each queue in turns, after each of the last {} slices",
                    slices, kTurns * size.jobs(kTurn), kQueued.count, kWorkers, kClaims, (slices + 1) / 2),
        rows);
}

} // namespace fairq::bench
