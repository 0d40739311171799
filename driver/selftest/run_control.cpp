// run_control.cpp: runs a control, and compares what turned red with what had to.
#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "db/database.hpp"
#include "engine/engine.hpp"
#include "selftest/selftest.hpp"

namespace fairq::driver::selftest {
namespace {

using Metrics = std::vector<std::string>;

Metrics with(const engine::RunResult &run, judge::Verdict verdict) {
    Metrics metrics;
    for (const judge::GateResult &result : run.gates)
        if (result.verdict == verdict)
            metrics.push_back(result.gate.metric_text);
    std::sort(metrics.begin(), metrics.end());
    return metrics;
}

Metrics sorted(Metrics metrics) {
    std::sort(metrics.begin(), metrics.end());
    return metrics;
}

std::string described(const engine::RunResult &run) {
    std::string text = fmt::format("{}; failed: {}; inconclusive: {}", judge::outcome_word(run.outcome),
                                   fmt::join(with(run, judge::Verdict::failed), ", "),
                                   fmt::join(with(run, judge::Verdict::inconclusive), ", "));
    for (const engine::PhaseResult &phase : run.phases) {
        text += "; " + engine::phase_end_word(phase.end);
        for (const std::string &note : phase.notes)
            text += "; " + note;
    }
    for (const std::string &bad : run.ledger.first_bad)
        text += "; " + bad;
    return text;
}

std::string new_database(int number, const fault::Cluster &cluster) {
    const std::string name = fmt::format("selftest_{}", number);
    db::with_reconnect(
        Milliseconds(30'000), [] { return false; },
        [&] { db::Database(cluster.conninfo("postgres"), "setup").query("CREATE DATABASE " + name); });
    db::Database(cluster.conninfo(name), "setup").query("CREATE EXTENSION fairq");
    return cluster.conninfo(name);
}

} // namespace

plan::Plan plan_of(const Control &control) {
    const std::string text = fmt::format(R"(
name = "selftest"
description = '''{}'''
sample_every = "50ms"
[[phases]]
name = "p"
{}
{})",
                                         control.name, control.phase, control.gates);
    plan::Plan plan = plan::parse_plan(text, "selftest: " + control.name, {});
    for (plan::Phase &phase : plan.phases)
        for (plan::FaultsActor &faults : phase.faults)
            faults.disarmed = control.disarmed;
    return plan;
}

fault::ClusterOptions cluster_options() {
    fault::ClusterOptions options;
    options.needs_cron = false;
    options.settings = {{"wal_level", "logical"},
                        {"fsync", "off"},
                        {"fairq.lease_timeout", "2s"},
                        {"fairq.backoff_base", "10ms"},
                        {"fairq.backoff_max", "100ms"}};
    return options;
}

Finding run_control(const Control &control, int number, fault::Cluster &cluster) {
    const plan::Plan plan = plan_of(control);
    engine::RunSettings settings;
    settings.conninfo = new_database(number, cluster);
    settings.throwaway = true;
    if (strikes_server(plan))
        settings.cluster = &cluster;
    settings.seed = 42;
    engine::Progress progress(engine::Progress::Mode::quiet, Milliseconds(1000));
    const engine::RunResult run = engine::run_plan(plan, settings, progress);
    Finding finding{control.name, control.what, false, described(run)};
    finding.seen = with(run, judge::Verdict::failed) == sorted(control.failed) &&
                   with(run, judge::Verdict::inconclusive) == sorted(control.inconclusive) &&
                   run.outcome == control.outcome;
    return finding;
}

} // namespace fairq::driver::selftest
