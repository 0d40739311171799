// result.cpp: from figures to samples to the outcome. Pure: the same phases always give the same verdict.
#include "engine/result.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace fairq::driver::engine {
namespace {

void add_counts(measure::Samples &samples, const PhaseResult &phase) {
    const judge::Ledger &ledger = phase.ledger;
    const auto seen = static_cast<std::size_t>(ledger.acknowledged + ledger.recovered + ledger.unexpected);
    const auto add = [&](const char *metric, long long count) {
        if (seen > 0) // a phase without jobs proves nothing about them
            samples.add(metric, phase.name, static_cast<double>(count), seen);
    };
    add("lost", ledger.lost);
    add("duplicated", ledger.duplicated);
    add("unexpected", ledger.unexpected);
    add("stuck", ledger.stuck);
    add("outbox", ledger.outbox);
    add("dead_letters", ledger.dead);
    const auto messages = static_cast<std::size_t>(phase.outbox_duplicates.second);
    if (messages == 0)
        return;
    samples.add("outbox_duplicates", phase.name, static_cast<double>(phase.outbox_duplicates.first),
                messages);
    samples.add("reported_duplicates", phase.name, static_cast<double>(phase.reported_duplicates), messages);
}

void add_ticks(measure::Samples &samples, const PhaseResult &phase) {
    for (const db::Tick &tick : phase.ticks) {
        samples.add("tick_ms", phase.name, tick.ms);
        samples.add("tick_jobs", phase.name, static_cast<double>(tick.claimed));
        for (const auto &[tenant, claimed] : tick.tenants)
            samples.add("tick_tenant_claimed", phase.name, static_cast<double>(claimed));
    }
    if (!phase.ticks.empty())
        samples.add("ticks", phase.name, static_cast<double>(phase.ticks.size()), phase.ticks.size());
    for (const auto &[tenant, jobs] : phase.ledger.tenant_jobs) {
        const auto done = phase.ledger.tenant_completed.find(tenant);
        const long long completed = done == phase.ledger.tenant_completed.end() ? 0 : done->second;
        samples.add("tenant_completed_ratio", phase.name,
                    static_cast<double>(completed) / static_cast<double>(jobs));
    }
}

void add_times(measure::Samples &samples, const PhaseResult &phase) {
    if (phase.end == PhaseEnd::drained && phase.drain) {
        const auto jobs = static_cast<std::size_t>(phase.drain->completed);
        samples.add("drain_seconds", phase.name, phase.drain->seconds, jobs);
        if (phase.drain->seconds > 0)
            samples.add("drain_jobs_per_second", phase.name, static_cast<double>(jobs) / phase.drain->seconds,
                        jobs);
    }
    for (const SamplePoint &point : phase.series) {
        samples.add("poll_ms", phase.name, point.poll_ms);
        // Nothing queued means that nothing waits: an age of 0, not a missing sample.
        samples.add("oldest_queued_seconds", phase.name, point.oldest_seconds.value_or(0));
    }
    for (const double ms : phase.call_ms)
        samples.add("enqueue_call_ms", phase.name, ms);
    for (const double ms : phase.lag_ms)
        samples.add("schedule_lag_ms", phase.name, ms);
    if (phase.planned_jobs > 0)
        samples.add("offered_ratio", phase.name,
                    static_cast<double>(phase.sent_in_time) / static_cast<double>(phase.planned_jobs),
                    static_cast<std::size_t>(phase.planned_jobs));
}

/// What is unfinished at a deadline, but still moving, is neither drained nor stuck: the run shows nothing.
void weaken_unfinished(RunResult &run) {
    long long unfinished = 0;
    for (const PhaseResult &phase : run.phases)
        unfinished += phase.end == PhaseEnd::time ? 0 : phase.ledger.unfinished;
    for (judge::GateResult &result : run.gates)
        if (result.gate.operands[0].metric == "stuck" && result.verdict == judge::Verdict::passed &&
            unfinished > 0) {
            result.verdict = judge::Verdict::inconclusive;
            result.note = fmt::format("{} jobs were still moving at the end", unfinished);
        }
}

} // namespace

std::string phase_end_word(PhaseEnd end) {
    switch (end) {
    case PhaseEnd::drained:
        return "drained";
    case PhaseEnd::time:
        return "time";
    case PhaseEnd::timeout:
        return "timeout";
    case PhaseEnd::at_rest:
        return "at rest";
    case PhaseEnd::interrupted:
        return "interrupted";
    }
    return "?";
}

void add_samples(measure::Samples &samples, const PhaseResult &phase) {
    add_counts(samples, phase);
    add_ticks(samples, phase);
    add_times(samples, phase);
}

void conclude(RunResult &run, const measure::Samples &samples) {
    run.ledger = judge::Ledger{};
    for (const PhaseResult &phase : run.phases)
        run.ledger += phase.ledger;
    run.gates.clear();
    for (const judge::Gate &gate : run.plan->gates)
        run.gates.push_back(judge::judge(gate, samples));
    weaken_unfinished(run);
    if (run.interrupted)
        judge::skip_unproven(run.gates);
    run.outcome = judge::overall(run.gates, run.interrupted);
}

} // namespace fairq::driver::engine
