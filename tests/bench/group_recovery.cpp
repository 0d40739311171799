// group_recovery.cpp: how soon work goes on after workers have died, and after a type of jobs was resumed. What brings
// the jobs back rides on the claims of the workers that are there.
#include <atomic>
#include <chrono>
#include <thread>

#include <fmt/format.h>

#include "groups.hpp"
#include "work.hpp"

namespace fairq::bench {
namespace {

constexpr int kWorkers = 4;
constexpr int kTenants = 10;
constexpr long long kLeases = 10'000, kResumed = 200'000;
constexpr double kStart = 2; ///< seconds until a resumed type has to be at speed
constexpr const char *kDatabase = "bench_recovery";

void enqueue(Connection &admin, long long jobs) {
    admin.run(fmt::format("SELECT count(*) FROM enqueue_jobs((SELECT array_agg('tenant-' || n % {}) FROM "
                          "generate_series(1, {}) n), 'mail', array_fill(jsonb_build_object('x', "
                          "repeat('y', 200)), ARRAY[{}]))",
                          kTenants, jobs, jobs));
}

struct Work {
    double seconds;   ///< until the last job was completed
    double late_rate; ///< jobs a second, of those that were completed from kStart on; of all, if none was
};

/// Claims and completes until so many jobs are done; a claim that finds nothing is repeated a moment later.
Work work(long long jobs) {
    const Connections workers = connect(kDatabase, kWorkers, false);
    const Contender &fairq = fairq_queue();
    std::atomic<long long> done{0}, early{0};
    const Stopwatch watch;
    const double seconds = in_parallel(workers, [&](Connection &worker, std::size_t) {
        while (done < jobs) {
            const Batch batch = fairq.take(worker, {});
            if (batch.ids.empty())
                std::this_thread::sleep_for(std::chrono::milliseconds(5));
            else
                fairq.complete(worker, batch);
            done += static_cast<long long>(batch.ids.size());
            if (watch.seconds() < kStart)
                early += static_cast<long long>(batch.ids.size());
        }
    });
    if (early >= jobs || seconds <= kStart)
        return {seconds, static_cast<double>(jobs) / seconds};
    return {seconds, static_cast<double>(jobs - early) / (seconds - kStart)};
}

/// So many workers claim one job each, and die; their leases end at the same moment.
void leave_leases(Connection &admin, long long leases) {
    enqueue(admin, leases);
    admin.run(fmt::format(
        "DO $$ BEGIN FOR i IN 1 .. {} LOOP PERFORM FROM claim_queued_jobs('worker ' || i, 1); COMMIT; "
        "END LOOP; END $$",
        leases));
    admin.run("VACUUM ANALYZE job_live");
    admin.run("VACUUM ANALYZE job_leases");
    admin.run(
        "UPDATE job_leases SET locked_at = locked_at - interval '1 hour', heartbeat_at = heartbeat_at - "
        "interval '1 hour'");
}

void resume(Connection &admin, long long jobs) {
    enqueue(admin, jobs);
    admin.run("SELECT pause_job_type('mail')");
    while (admin.run("SELECT count(*) FROM claim_queued_jobs('w', 50, 50)").integer() > 0 ||
           admin.run("SELECT count(*) FROM (SELECT FROM job_live WHERE position IS NOT NULL LIMIT 1) p")
                   .integer() > 0)
        continue;
    admin.run("VACUUM ANALYZE job_live");
    admin.run("SELECT resume_job_type('mail')");
}

void full_speed(Connection &admin, long long jobs) {
    enqueue(admin, jobs);
    admin.run("VACUUM ANALYZE job_live");
}

Work measure(void (*prepare)(Connection &, long long), long long jobs) {
    make_database(kDatabase);
    {
        Connection admin(kDatabase);
        prepare(admin, jobs);
    }
    const Work done = work(jobs);
    drop_database(kDatabase);
    return done;
}

} // namespace

void measure_recovery(Report &report, const Size &size) {
    const long long leases = size.jobs(kLeases), resumed = size.jobs(kResumed);
    Samples back, full, late, ratio;
    const int rounds = size.quick ? 1 : 3;
    for (int round = 0; round < rounds; ++round) {
        back.add(measure(leave_leases, leases).seconds);
        full.add(measure(full_speed, resumed).late_rate);
        late.add(measure(resume, resumed).late_rate);
    }
    ratio.add(late.over(full));
    report.table(
        "recovery",
        fmt::format(
            "{} workers, async, claims of {}; {} rounds; a resumed type: from {:.0f} s after it was resumed",
            kWorkers, kBatch, rounds, kStart),
        {{{"what", fmt::format("{} leases of one job end: until all jobs are completed, s", leases)},
          {"found", figure(back, 2)},
          {"target", report.target("recovery: leases of dead workers, s", back.median(), at_most(10))}},
         {{"what", fmt::format("{} jobs of a type that was never paused, jobs/s", resumed)},
          {"found", figure(full, 0)},
          {"target", ""}},
         {{"what", fmt::format("{} jobs of a type that was resumed, jobs/s", resumed)},
          {"found", figure(late, 0)},
          {"target", ""}},
         {{"what", "x of the type that was never paused"},
          {"found", figure(ratio, 2)},
          {"target", report.target("recovery: a resumed type", ratio.median(), at_least(0.8))}}});
}

} // namespace fairq::bench
