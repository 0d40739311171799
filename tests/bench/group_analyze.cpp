// group_analyze.cpp: statistics of the worst moment: do the statements keep their plans?
#include <fmt/format.h>

#include "groups.hpp"
#include "work.hpp"

namespace fairq::bench {
namespace {

constexpr const char *kDatabase = "bench_analyze";
constexpr long long kQueued = 50'000;
constexpr int kCalls = 200;
constexpr const char *kTables =
    "ANALYZE job_live; ANALYZE job_leases; ANALYZE job_history; ANALYZE job_keys; ANALYZE tenant_limits";

struct Moment {
    const char *name;
    void (*reach)(Connection &admin,
                  const Jobs &jobs); ///< analyzes at the moment, then has these jobs queued
    Samples claim{}, complete{}, enqueue{};
};

void at_rest(Connection &admin, const Jobs &jobs) {
    fairq_queue().load(admin, jobs);
    admin.run(kTables);
}

void empty(Connection &admin, const Jobs &jobs) {
    fairq_queue().clear(admin);
    admin.run(kTables);
    fairq_queue().add(admin, jobs);
}

void all_queued(Connection &admin, const Jobs &jobs) {
    fairq_queue().clear(admin);
    fairq_queue().add(admin, jobs);
    admin.run(kTables);
}

void all_locked(Connection &admin, const Jobs &jobs) {
    fairq_queue().clear(admin);
    fairq_queue().add(admin, jobs);
    const Ask ask{0, 10 * kBatch};
    std::vector<Batch> held;
    for (Batch batch = fairq_queue().take(admin, ask); !batch.ids.empty();
         batch = fairq_queue().take(admin, ask))
        held.push_back(batch);
    admin.run(kTables);
    for (const Batch &batch : held)
        admin.query("SELECT release_jobs($1::bigint[], $2::bigint)", {array_of(batch.ids), batch.lock_token});
}

void measure(Connection &admin, Moment &moment, const Size &size) {
    moment.reach(admin, {size.jobs(kQueued), 10});
    const Connections sessions = connect(kDatabase, 1, false);
    Connection &session = *sessions.front();
    Samples claims, completions, enqueues;
    for (int i = 0; i < (size.quick ? 5 : kCalls); ++i) {
        const Stopwatch claiming;
        const Batch batch = fairq_queue().claim(session, {});
        claims.add(claiming.seconds() * 1000);
        const Stopwatch completing;
        fairq_queue().complete(session, batch);
        completions.add(completing.seconds() * 1000);
        const Stopwatch enqueueing;
        fairq_queue().add(session, {kBatch, 10});
        enqueues.add(enqueueing.seconds() * 1000);
    }
    moment.claim.add(claims.median());
    moment.complete.add(completions.median());
    moment.enqueue.add(enqueues.median());
}

} // namespace

void analyze(Report &report, const Size &size) {
    make_database(kDatabase);
    Connection admin(kDatabase);
    std::vector<Moment> moments{{"all queued, vacuumed", at_rest},
                                {"empty", empty},
                                {"all queued", all_queued},
                                {"all locked", all_locked}};
    for (int round = 0; round < size.rounds; ++round)
        for (Moment &moment : moments)
            measure(admin, moment, size);
    std::vector<Fields> rows;
    const Moment &base = moments.front();
    for (const Moment &moment : moments) {
        Fields row{{"analyzed when", moment.name}};
        const auto add = [&](const std::string &call, const Samples &own, const Samples &first) {
            row[call + " ms"] = figure(own, 3);
            row["x first, " + call] = figure(own.over(first), 2);
            row["target, " + call] =
                &moment == &base ? ""
                                 : report.target(fmt::format("ANALYZE when {}: {}", moment.name, call),
                                                 own.over(first).median(), at_most(1.2));
        };
        add("claim", moment.claim, base.claim);
        add("complete", moment.complete, base.complete);
        add("enqueue", moment.enqueue, base.enqueue);
        rows.push_back(row);
    }
    report.table(
        "analyze",
        fmt::format("calls of {} jobs, {} queued, by a session that is new", kBatch, size.jobs(kQueued)),
        rows);
    drop_database(kDatabase);
}

} // namespace fairq::bench
