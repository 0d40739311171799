// report_fixture.hpp: a finished run with something of everything that a report shows, and with text that wants to be
// markup, a command of a terminal, or a formula.
#pragma once

#include "report/report.hpp"

namespace fairq::test {

constexpr const char *kHostile =
    "<script>alert('x')</script> & \"q\" | `t` \x1b[31m \xff \u202e %0A ::error::";

inline driver::plan::Plan hostile_plan() {
    return driver::plan::parse_plan(R"(name = "<b>demo</b>"
description = "a plan <script>alert(1)</script>"
[[phases]]
name = "one"
timeout = "5m"
seed = { jobs = 4, tenants = 2 }
workers = { kind = "tick", workers = 1, every = "1s" }
[[phases]]
name = "two"
timeout = "5m"
seed = { jobs = 4, tenants = 2 }
workers = { kind = "external", workers = 1, name = "hands" }
[[gates]]
id = "SLOW"
title = "milliseconds of a claim"
metric = "claim_ms{phase:two}"
expect = "p(97)<5"
[[gates]]
id = "FEW"
metric = "poll_ms"
expect = "p(99)<5"
)",
                                    "demo.toml", {});
}

inline driver::measure::SystemSample system_sample(double at) {
    driver::measure::SystemSample sample;
    sample.at_seconds = at;
    sample.seconds = at == 0 ? 0 : 1;
    sample.counters = {at * 1000, at * 50, at * 5, 0};
    sample.waits = {
        {"Lock/transactionid", 3}, {"CPU", 1}, {"Extension/Extension", 4}}; // the last: workers without jobs
    sample.connections = 9;
    sample.locks_waited_for = 2;
    sample.server = {5, at * 0.5, 64e6, 100};
    sample.driver = {1, at * 0.1, 8e6, 20};
    sample.sees_server = true;
    return sample;
}

inline driver::engine::PhaseResult sound_phase(const std::string &name) {
    using namespace driver;
    engine::PhaseResult phase;
    phase.name = name;
    phase.wall_seconds = 20;
    phase.drain = db::DrainTimes{2.0, 4};
    phase.ledger.attempted = phase.ledger.acknowledged = phase.ledger.completed = 4;
    phase.ledger.tenant_jobs = phase.ledger.tenant_completed = {{"tenant-1", 2}, {"tenant-2", 2}};
    phase.series = {{0, 4, 0, 0, 1.5, 0.5}, {1, 2, 0, 2, 1.0, 0.6}, {2, 0, 0, 4, std::nullopt, 1.5}};
    phase.outbox.messages = 4;
    phase.leaks_looked = true;
    for (int second = 0; second < 20; ++second)
        phase.system.samples.add(system_sample(second));
    phase.system.cost = {true, 4000, 200, 20, 8};
    return phase;
}

/// Claims of 2 ms, and of 80 ms in the tenth second.
inline driver::actors::Figures worker_figures(double factor = 1) {
    driver::actors::Figures figures;
    figures.actor = "hands";
    figures.began = {};
    for (int second = 0; second < 20; ++second)
        for (int i = 0; i < 20; ++i) {
            const auto time = static_cast<std::int64_t>(factor * (second == 10 ? 80'000 : 2'000 + 10 * i));
            figures.times["claim_ms"].record(time);
            figures.spread["claim_ms"].record(second, time);
        }
    figures.numbers["worker_errors"] = 2;
    figures.errors["57P01"] = {2, kHostile, false};
    figures.windows = {{9.5, 10.5, true}, {15, 15, false}};
    return figures;
}

inline driver::engine::RunResult hostile_run(const driver::plan::Plan &plan, double factor = 1) {
    using namespace driver;
    engine::RunResult run;
    run.plan = &plan;
    run.run_id = "abc123";
    run.seed = 42;
    run.generated_at = "2026-01-02T03:04:05Z";
    run.again = "fairq run demo --option 'x=<i>' --seed 42";
    run.wall_seconds = 40;
    run.server.version = "15.20";
    run.server.extension = "0.1.0";
    run.server.place = kHostile;
    run.server.settings = {{"fsync", "on"}, {"synchronous_commit", "on"}};
    run.phases = {sound_phase("one"), sound_phase("two")};
    run.phases[1].figures.push_back(worker_figures(factor));
    run.phases[1].notes = {kHostile};
    run.phases[1].stuck = db::StuckReport{{"job 7: its key is busy"}, {"queued 5"}, {kHostile}, {}, {}};
    measure::Samples samples;
    for (const engine::PhaseResult &phase : run.phases)
        engine::add_samples(samples, phase);
    engine::conclude(run, samples);
    return run;
}

inline driver::report::Summary hostile_summary(double factor = 1) {
    const driver::plan::Plan plan = hostile_plan();
    return driver::report::summarize(hostile_run(plan, factor));
}

} // namespace fairq::test
