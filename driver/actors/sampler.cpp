// sampler.cpp: see sampler.hpp.
#include "actors/sampler.hpp"

#include <algorithm>

#include <unistd.h>

#include <fmt/format.h>

namespace fairq::driver::actors {
namespace {

using Clock = std::chrono::steady_clock;

constexpr Milliseconds kPatience{3'000};
constexpr int kSessionNaps = 40;
constexpr Milliseconds kNap{50};
constexpr std::size_t kKeptNotes = 5;

// Sessions that do something or wait in the middle of it. A worker that sleeps in wait_for_jobs counts as what it
// waits for.
constexpr const char *kWaits = R"(
SELECT CASE WHEN wait_event IS NULL THEN 'CPU' ELSE wait_event_type || '/' || wait_event END, count(*)
  FROM pg_stat_activity
 WHERE datname = current_database() AND pid <> pg_backend_pid() AND state IS DISTINCT FROM 'idle'
   AND wait_event_type IS DISTINCT FROM 'Activity'
 GROUP BY 1)";

constexpr const char *kCounters = R"(
SELECT CASE WHEN pg_is_in_recovery() THEN 0 ELSE pg_current_wal_insert_lsn() - '0/0' END,
       d.blks_hit + d.blks_read, d.xact_commit, d.xact_rollback,
       (SELECT count(*) FROM pg_locks WHERE NOT granted),
       (SELECT coalesce(sum(pg_stat_get_dead_tuples(oid)), 0) FROM pg_class
         WHERE relkind = 'r' AND relnamespace = $1::regnamespace),
       pg_database_size(d.datid),
       (SELECT coalesce(max(age(xmin)), 0)
          FROM (SELECT backend_xmin FROM pg_stat_activity WHERE pid <> pg_backend_pid()
                UNION ALL SELECT xmin FROM pg_replication_slots
                UNION ALL SELECT transaction FROM pg_prepared_xacts) h (xmin)),
       pg_notification_queue_usage(),
       (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend')
  FROM pg_stat_database d WHERE d.datname = current_database())";
enum Counter {
    wal,
    buffers,
    commits,
    rollbacks,
    locks,
    dead_rows,
    size,
    horizon,
    notifications,
    connections
};

// The server is on this machine, as far as the connection can tell; and may this role see what others do?
constexpr const char *kPlace = R"(
SELECT inet_server_addr() IS NULL OR inet_server_addr() = inet_client_addr(),
       pg_has_role('pg_read_all_stats', 'USAGE'), pg_postmaster_start_time()::text)";

constexpr const char *kSessions = R"(
SELECT count(*) FROM pg_stat_activity WHERE application_name = ANY ($1::text[]))";

double number(const db::Row &row, std::size_t column) {
    return std::stod(row.at(column).value_or("0"));
}

} // namespace

Sampler::Sampler(const std::string &conninfo, std::string schema, const std::string &run_id,
                 Milliseconds every)
    : schema_(std::move(schema)), run_id_(run_id), every_(every), start_(Clock::now()),
      database_(conninfo, "sampler " + run_id, kPatience), thread_([this] { loop(); }) {}

Sampler::~Sampler() {
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        stopping_ = true;
    }
    wake_.notify_all();
    if (thread_.joinable())
        thread_.join();
}

void Sampler::loop() {
    auto next = start_;
    std::unique_lock<std::mutex> lock(mutex_);
    while (!stopping_) {
        lock.unlock();
        sample();
        for (next += every_; next < Clock::now(); next += every_)
            ++figures_.missed;
        lock.lock();
        wake_.wait_until(lock, next, [this] { return stopping_; });
    }
}

void Sampler::tell(const std::string &note) {
    auto &notes = figures_.notes;
    if (notes.size() < kKeptNotes && std::find(notes.begin(), notes.end(), note) == notes.end())
        notes.push_back(note);
}

/// Processes are looked at whatever the server says: a server that is away shows there.
void Sampler::sample() {
    measure::SystemSample sample;
    sample.at_seconds = std::chrono::duration<double>(Clock::now() - start_).count();
    sample.seconds = sample.at_seconds - last_at_;
    try {
        look_for_server();
        add_waits(sample);
        add_counters(sample);
    } catch (const std::exception &error) {
        ++figures_.missed;
        tell(fmt::format("no sample of the server: {}", error.what()));
        return;
    }
    add_processes(sample);
    last_at_ = sample.at_seconds;
    figures_.samples.add(std::move(sample));
}

/// Its processes are those of the parent of this session's backend. After a restart they are others.
void Sampler::look_for_server() {
    database_.connect();
    const int backend = database_.backend_pid();
    if (backend == backend_)
        return;
    postmaster_ = 0;
    const db::Rows rows = database_.query(kPlace);
    backend_ = backend;
    const std::string started = rows.at(0).at(2).value_or("");
    restarted_ = restarted_ || (!started_.empty() && started != started_);
    started_ = started;
    if (rows.at(0).at(1) != db::Cell("t"))
        tell("this role may not see what other sessions do (pg_read_all_stats): wait events are incomplete");
    if (rows.at(0).at(0) == db::Cell("t"))
        for (const measure::ProcessEntry &process : measure::all_processes())
            if (process.pid == backend && process.name.compare(0, 8, "postgres") == 0)
                postmaster_ = process.parent;
    if (postmaster_ == 0)
        tell("the server's processes cannot be seen from here: no CPU and memory of it");
}

void Sampler::add_waits(measure::SystemSample &sample) {
    for (const db::Row &row : database_.query(kWaits))
        sample.waits[row.at(0).value_or("?")] = number(row, 1);
}

void Sampler::add_counters(measure::SystemSample &sample) {
    const db::Rows rows = database_.query(kCounters, {schema_});
    const db::Row &row = rows.at(0);
    sample.counters = {number(row, wal), number(row, buffers), number(row, commits), number(row, rollbacks)};
    sample.locks_waited_for = number(row, locks);
    sample.dead_rows = number(row, dead_rows);
    sample.database_bytes = number(row, size);
    sample.horizon_age = number(row, horizon);
    sample.notification_queue = number(row, notifications);
    sample.connections = number(row, connections);
    last_ = sample.counters;
    if (!counted_) {
        first_ = sample.counters;
        own_at_first_ = database_.round_trips();
    }
    counted_ = true;
}

void Sampler::add_processes(measure::SystemSample &sample) const {
    const std::vector<measure::ProcessEntry> processes = measure::all_processes();
    sample.driver = use_of_one(processes, getpid());
    sample.workers = use_of_children(processes, getpid(), postmaster_);
    sample.sees_server = postmaster_ != 0;
    if (sample.sees_server)
        sample.server = use_of_tree(processes, postmaster_);
}

/// A session's figures are counted when it ends, a moment after its client has gone.
void Sampler::wait_for_sessions() {
    std::vector<std::string> names;
    for (const char *purpose : {"worker", "calls", "load", "tick"})
        names.push_back(fmt::format("fairq {} {}", purpose, run_id_));
    for (int naps = 0; naps < kSessionNaps; ++naps) {
        if (database_.scalar(kSessions, {db::array_literal(names)}) == db::Cell("0"))
            return;
        std::this_thread::sleep_for(kNap);
    }
}

void Sampler::settle_cost() {
    if (!counted_)
        return;
    look_for_server();
    if (restarted_) {
        tell("the server started again, and its counters may have begun anew: no cost for each job");
        return;
    }
    wait_for_sessions();
    measure::SystemSample sample;
    add_counters(sample);
    const auto own = static_cast<double>(database_.round_trips() - own_at_first_);
    measure::Cost &cost = figures_.cost;
    cost.wal_bytes = last_.wal_bytes - first_.wal_bytes;
    cost.buffers = last_.buffers - first_.buffers;
    cost.commits = std::max(0.0, last_.commits - first_.commits - own);
    cost.known = cost.wal_bytes >= 0 && cost.buffers >= 0;
}

measure::SystemFigures Sampler::stop() {
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        stopping_ = true;
    }
    wake_.notify_all();
    thread_.join();
    try {
        settle_cost();
    } catch (const std::exception &error) {
        tell(fmt::format("no cost for each job: {}", error.what()));
    }
    database_.disconnect();
    return std::move(figures_);
}

} // namespace fairq::driver::actors
