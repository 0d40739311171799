// work.cpp: see work.hpp.
#include "work.hpp"

#include <atomic>

#include <fmt/format.h>

namespace fairq::bench {
namespace {

constexpr int kBetweenRefills = 20;

struct Calls {
    Samples claims, completions;
    std::size_t jobs = 0;
};

double milliseconds(const Stopwatch &watch) {
    return watch.seconds() * 1000;
}

Calls claim_and_complete(Connection &connection, const Contender &contender, Ask ask,
                         std::atomic<long long> &next, long long end) {
    Calls calls;
    for (ask.first = next.fetch_add(ask.count); ask.first < end; ask.first = next.fetch_add(ask.count)) {
        const Stopwatch claiming;
        const Batch batch = contender.claim(connection, ask);
        calls.claims.add(milliseconds(claiming));
        calls.jobs += batch.ids.size();
        if (batch.ids.empty()) // other connections had locked all that it looked at
            continue;
        const Stopwatch completing;
        contender.complete(connection, batch);
        calls.completions.add(milliseconds(completing));
    }
    return calls;
}

Calls swap(Connection &connection, const Contender &contender, Ask ask, std::atomic<long long> &next,
           long long end) {
    Calls calls;
    Batch batch;
    for (ask.first = next.fetch_add(ask.count); ask.first < end; ask.first = next.fetch_add(ask.count)) {
        const Stopwatch watch;
        batch = batch.ids.empty() ? contender.claim(connection, ask) : contender.swap(connection, batch, ask);
        calls.claims.add(milliseconds(watch));
        calls.jobs += batch.ids.size();
    }
    if (!batch.ids.empty())
        contender.complete(connection, batch);
    return calls;
}

void warm_up(const Connections &workers, const Contender &contender, int batch,
             std::atomic<long long> &next) {
    for (std::size_t i = 0; i < workers.size(); ++i) {
        const Batch claimed = contender.claim(*workers[i], {next.fetch_add(batch), batch, i});
        if (!contender.swaps())
            contender.complete(*workers[i], claimed);
        else
            contender.complete(*workers[i],
                               contender.swap(*workers[i], claimed, {next.fetch_add(batch), batch, i}));
    }
}

} // namespace

std::string Setting::name() const {
    return fmt::format("{} conn, {}", connections, synchronous ? "sync" : "async");
}

long long needed(const Setting &setting, long long jobs) {
    return jobs + 2LL * setting.connections * setting.batch;
}

long long work_off(Connection &admin, const std::string &database, const Contender &contender,
                   const Setting &setting, long long first, long long jobs, Figures &figures) {
    contender.vacuum(admin);
    const Connections workers = connect(database, setting.connections, setting.synchronous);
    std::atomic<long long> next{first};
    warm_up(workers, contender, setting.batch, next); // prepares, plans and fills caches
    const long long end = next + jobs;
    const double wal = wal_position(admin);
    std::vector<Calls> calls(workers.size());
    const double seconds = in_parallel(workers, [&](Connection &worker, std::size_t i) {
        const Ask ask{0, setting.batch, i};
        calls[i] = contender.swaps() ? swap(worker, contender, ask, next, end)
                                     : claim_and_complete(worker, contender, ask, next, end);
    });
    Calls all;
    for (const Calls &each : calls) {
        all.claims.add(each.claims);
        all.completions.add(each.completions);
        all.jobs += each.jobs;
    }
    const auto done = static_cast<double>(all.jobs);
    figures.rate.add(done / seconds);
    figures.claim_ms.add(all.claims.median());
    figures.claim_p99_ms.add(all.claims.percentile(99));
    figures.complete_ms.add(all.completions.median());
    figures.wal.add((wal_position(admin) - wal) / done);
    return end;
}

namespace {

/// A job for each of these, which are forgotten.
void enqueue_again(Connection &connection, std::vector<std::string> &tenants) {
    static const std::string statement =
        fmt::format("SELECT count(*) FROM enqueue_jobs($1::text[], 'load_test', "
                    "(SELECT array_agg({}) FROM generate_series(1, cardinality($1::text[])) AS n))",
                    kPayload);
    if (!tenants.empty())
        connection.query(statement, {array_of(tenants)});
    tenants.clear();
}

} // namespace

void prepare(Queue &queue) {
    make_database(queue.database);
    Connection connection(queue.database);
    fairq_queue().load(connection, queue.jobs);
}

void look_at(Queue &queue, const Look &look) {
    Connection connection(queue.database), feeder(queue.database);
    connection.run("SET synchronous_commit = off");
    const Contender &fairq = fairq_queue();
    Batch warm = fairq.take(connection, {});
    fairq.finish(connection, warm);
    std::vector<std::string> missing = std::move(warm.tenants);
    Samples calls;
    double total = 0;
    long long jobs = 0;
    for (int i = 1; i <= look.claims; ++i) {
        const Stopwatch watch;
        const Batch batch = look.whole ? fairq.claim(connection, {}) : fairq.take(connection, {});
        calls.add(milliseconds(watch));
        total += watch.seconds();
        jobs += static_cast<long long>(batch.ids.size());
        missing.insert(missing.end(), batch.tenants.begin(), batch.tenants.end());
        fairq.finish(connection, batch);
        if (i % kBetweenRefills == 0 || i == look.claims)
            enqueue_again(feeder, missing);
    }
    if (look.vacuum)
        fairq.vacuum(feeder);
    queue.p50.add(calls.median());
    queue.p99.add(calls.percentile(99));
    queue.given.add(static_cast<double>(jobs) / look.claims);
    queue.per_job.add(total * 1e6 / static_cast<double>(std::max(jobs, 1LL)));
}

void age_server() {
    Connection connection("postgres");
    connection.run("CREATE TABLE bench_age (page text); ALTER TABLE bench_age ALTER page SET STORAGE PLAIN");
    connection.run("INSERT INTO bench_age SELECT repeat('x', 8000) FROM generate_series(1, "
                   "(SELECT setting::bigint FROM pg_settings WHERE name = 'shared_buffers'))");
    connection.run("DROP TABLE bench_age");
    connection.run("CHECKPOINT");
}

} // namespace fairq::bench
