// describe.cpp: plans as text, for `list` and `check`: what would be done, statement
// by statement, without a server.
#include <cmath>
#include <filesystem>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "db/cron.hpp"
#include "report/describe.hpp"

namespace fairq::driver::report {
namespace {

constexpr const char *kSchema = "public"; // check asks no server
constexpr Milliseconds kMinute{60'000};

std::string describe_worker(const plan::WorkerActor &worker) {
    const std::string head =
        fmt::format("    workers     {} every {}{}\n", worker.workers, format_duration(worker.every),
                    worker.keep ? ", stay for the next phase" : "");
    if (worker.kind == plan::WorkerKind::tick)
        return head + fmt::format("      SELECT {}.run_job_queue_parallel({});\n", kSchema, worker.workers);
    std::string text = head;
    if (worker.every < kMinute)
        text += fmt::format("      {}\n      (pg_cron before 1.5:)\n",
                            db::schedule_statement(db::make_cron_job(worker, kSchema, true)));
    return text +
           fmt::format("      {}\n", db::schedule_statement(db::make_cron_job(worker, kSchema, false)));
}

std::string describe_phase(const plan::Phase &phase) {
    std::string text =
        fmt::format("  phase {}{}\n", phase.name, phase.description.empty() ? "" : ": " + phase.description);
    if (phase.clear)
        text += fmt::format("    clear       SELECT {}.clear_load_test_data();\n", kSchema);
    for (const std::string &sql : phase.before)
        text += fmt::format("    before      {}\n", sql);
    for (const plan::SeedActor &seed : phase.seeds)
        text += fmt::format("    seed        SELECT {}.seed_load_test_jobs({}, {});\n", kSchema, seed.jobs,
                            seed.tenants);
    for (const plan::WorkerActor &worker : phase.workers)
        text += describe_worker(worker);
    for (const plan::EnqueueActor &enqueue : phase.enqueues)
        text += fmt::format("    enqueue     {} jobs a second for {} over {} tenants, {} ms of work each\n",
                            format_number(enqueue.per_second), format_duration(enqueue.duration),
                            enqueue.tenants, enqueue.work_ms);
    for (const plan::ExternalWorkersActor &workers : phase.external)
        text += fmt::format("    workers     {} external, {} jobs a claim, {} of work each{}\n",
                            workers.workers, workers.batch,
                            workers.work ? format_duration(*workers.work) : std::string("payload.work_ms"),
                            workers.fail > 0 ? fmt::format(", {:.0f} % fail", workers.fail * 100) : "");
    for (const plan::HoldersActor &holders : phase.holders)
        text += fmt::format("    holders     {} sessions: BEGIN ISOLATION LEVEL {}; {};\n", holders.sessions,
                            holders.isolation, holders.sql);
    for (const plan::FaultsActor &faults : phase.faults)
        text += fmt::format("    faults      {}{}: {} times, first after {}, then every {}\n", faults.name,
                            faults.of.empty() ? "" : " of a " + faults.of, faults.times,
                            format_duration(faults.first), format_duration(faults.every));
    for (const plan::CallsActor &calls : phase.calls)
        text += fmt::format("    calls       {}: {} calls over {} connections: {}\n", calls.name,
                            format_count(std::llround(planned_calls(calls.stages))), calls.connections,
                            calls.sql);
    for (const std::string &sql : phase.after)
        text += fmt::format("    after       {}\n", sql);
    const std::string load = phase.duration ? fmt::format("after {}", format_duration(*phase.duration))
                                            : std::string("when all is sent");
    if (!phase.drain)
        return text + fmt::format("    ends        {}, and leaves its jobs to the next phase\n", load);
    return text + fmt::format("    ends        {}when drained, at most {}\n",
                              phase.duration ? load + " of load, " : "", format_duration(phase.timeout));
}

} // namespace

std::string describe_plan(const plan::Plan &plan) {
    std::string text = fmt::format("{}{}: {}\n", plan.name,
                                   plan.profile.empty() ? "" : ", profile " + plan.profile, plan.description);
    for (const auto &[name, value] : plan.params)
        text += fmt::format("  {:<12}  {}\n", name, value);
    for (const plan::Phase &phase : plan.phases)
        text += describe_phase(phase);
    for (const std::string &sql : plan.undo)
        text += fmt::format("  undo          {}\n", sql);
    text += "  gates\n";
    for (const judge::Gate &gate : plan.gates)
        text += fmt::format("    {:<7} {} {}\n", gate.id, gate.metric_text, gate.expression);
    return text;
}

std::string summarize_plan(const plan::Plan &plan) {
    std::string text = fmt::format("{}{}\n    {}\n", std::filesystem::path(plan.path).stem().string(),
                                   plan.rows.empty() ? "" : fmt::format("   {}", fmt::join(plan.rows, ", ")),
                                   plan.description);
    for (const plan::Profile &profile : plan.profiles)
        text += fmt::format("    --profile {:<10} {:>5}  {}{}\n", profile.name,
                            profile.takes ? format_duration(*profile.takes) : "", profile.description,
                            profile.name == plan.profile ? " (default)" : "");
    for (const auto &[name, value] : plan.params)
        text += fmt::format("    --option  {}={}\n", name, value);
    return text;
}

} // namespace fairq::driver::report
