// group_restart.cpp: a server that starts has no skip ranges. If a lane begins with many dead entries, the
// first claim walks over all of them, and the group measures how long other claims take meanwhile. The claims
// after that are compared with those of a queue without dead entries, after the same start: both read their
// pages into memory again.
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <thread>

#include <fmt/format.h>

#include "groups.hpp"
#include "work.hpp"

namespace fairq::bench {
namespace {

constexpr const char *kDatabase = "bench_restart", *kCleanDatabase = "bench_restart_clean";
constexpr const char *kPin = "bench_pin";
constexpr long long kDead = 1'000'000;
constexpr long long kLive = 10'000;
constexpr int kWorkers = 4, kStarts = 3;
constexpr double kMostMilliseconds = 1000;
constexpr double kMostLasting = 1.25; // once is once
constexpr std::chrono::milliseconds kHeadStart{5};

/// A prepared transaction outlives the server: nothing that ended after it may be marked as dead.
void make_dead_front(long long dead) {
    make_database(kDatabase);
    Connection admin(kDatabase);
    admin.run("BEGIN; SELECT pg_current_xact_id()");
    admin.run(fmt::format("PREPARE TRANSACTION '{}'", kPin));
    fairq_queue().load(admin, {dead, 10});
    const Connections workers = connect(kDatabase, kWorkers, false);
    const Contender &fairq = fairq_queue();
    in_parallel(workers, [&](Connection &worker, std::size_t) {
        const Ask ask{0, 10 * kBatch};
        for (Batch batch = fairq.take(worker, ask); !batch.ids.empty(); batch = fairq.take(worker, ask))
            fairq.complete(worker, batch);
    });
    fairq.add(admin, {kLive, 10});
}

void make_clean_queue() {
    make_database(kCleanDatabase);
    Connection admin(kCleanDatabase);
    fairq_queue().load(admin, {kLive, 10});
}

void restart_server(const char *command) {
    if (std::system(command) != 0)
        throw std::runtime_error(fmt::format("the server did not restart: {}", command));
}

/// The first claims may give fewer jobs than asked for: each walks over some of the dead entries.
double claim_ms(Connection &connection) {
    const Stopwatch watch;
    const Batch batch = fairq_queue().take(connection, {});
    const double ms = watch.seconds() * 1000;
    fairq_queue().complete(connection, batch);
    return ms;
}

struct Start {
    Samples first, meanwhile, second, later, clean;
};

/// Of twenty claims.
double usual_ms(Connection &session) {
    Samples claims;
    for (int i = 0; i < 20; ++i)
        claims.add(claim_ms(session));
    return claims.median();
}

/// The first claims of a queue without dead entries.
double clean_ms() {
    const Connections sessions = connect(kCleanDatabase, 1, false);
    for (int i = 0; i < 2; ++i)
        claim_ms(*sessions[0]);
    return usual_ms(*sessions[0]);
}

/// The first claim, and those that another session makes until it has ended.
void look(Start &start) {
    const Connections sessions = connect(kDatabase, 2, false);
    for (const auto &session : sessions) // reads the catalog, and the library
        session->run("SELECT get_queue_metrics(), count(*) FROM job_queue WHERE id = 0");
    std::atomic<bool> ended{false};
    Samples meanwhile;
    in_parallel(sessions, [&](Connection &session, std::size_t i) {
        if (i == 0) {
            start.first.add(claim_ms(session));
            ended = true;
            return;
        }
        std::this_thread::sleep_for(kHeadStart);
        do {
            meanwhile.add(claim_ms(session));
        } while (!ended);
    });
    start.meanwhile.add(meanwhile.most());
    start.second.add(claim_ms(*sessions[0]));
    start.later.add(usual_ms(*sessions[0]));
    start.clean.add(clean_ms());
}

Fields row(Report &report, const std::string &name, const Start &start) {
    return {{"dead entries are", name},
            {"first claim ms", figure(start.first, 1)},
            {"target", report.target("restart, " + name + ": first claim, ms", start.first.most(),
                                     at_most(kMostMilliseconds))},
            {"slowest of another session meanwhile", figure(start.meanwhile, 1)},
            {"target ", report.target("restart, " + name + ": another session's meanwhile, ms",
                                      start.meanwhile.most(), at_most(kMostMilliseconds))},
            {"second", figure(start.second, 2)},
            {"p50 of the next 20", figure(start.later, 2)},
            {"without dead entries", figure(start.clean, 2)},
            {"target  ", report.target("restart, " + name + ": the next claims, x without dead entries",
                                       start.later.over(start.clean).median(), at_most(kMostLasting))}};
}

} // namespace

void restart(Report &report, const Size &size) {
    const char *const command = std::getenv("BENCH_RESTART");
    if (command == nullptr) {
        fmt::print("\nrestart: left out, BENCH_RESTART names no command that restarts the server\n");
        return;
    }
    const long long dead = size.jobs(kDead);
    make_dead_front(dead);
    make_clean_queue();
    Start pinned, removable;
    for (int i = 0; i < (size.quick ? 1 : kStarts); ++i) {
        restart_server(command);
        look(pinned);
    }
    Connection(kDatabase).run(fmt::format("ROLLBACK PREPARED '{}'", kPin));
    restart_server(command);
    look(removable);
    report.table("restart",
                 fmt::format("{} dead index entries before the first job, claims of {}", dead, kBatch),
                 {row(report, "held back", pinned), row(report, "removable", removable)});
    drop_database(kDatabase);
    drop_database(kCleanDatabase);
    if (!size.quick)
        age_server();
}

} // namespace fairq::bench
