// result.cpp: from figures to samples to the outcome. Pure: the same phases always give the same verdict.
#include "engine/result.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace fairq::driver::engine {
namespace {

constexpr double kMegabyte = 1024.0 * 1024;

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
    add("foreign", ledger.foreign);
    add("executed_again", ledger.executed_again);
    add("early", ledger.early);
    add("out_of_order", ledger.out_of_order);
    if (phase.leaks_looked)
        add("leaks", ledger.leaks);
    if (phase.judged_claims.value_or(0) > 0) {
        const auto claims = static_cast<std::size_t>(*phase.judged_claims);
        for (const auto &[metric, column] : {std::pair(judge::kHistoryMetrics[0], ledger.cap_violations),
                                             std::pair(judge::kHistoryMetrics[1], ledger.key_violations),
                                             std::pair(judge::kHistoryMetrics[2], ledger.lease_overlaps)})
            samples.add(metric, phase.name, static_cast<double>(column), claims);
    }
    if (phase.end != PhaseEnd::sent)
        add("unfinished", ledger.unfinished);
    const auto messages = static_cast<std::size_t>(phase.outbox.messages);
    if (messages == 0)
        return;
    samples.add("outbox_duplicates", phase.name, static_cast<double>(phase.outbox.keys), messages);
    samples.add("reported_duplicates", phase.name, static_cast<double>(phase.outbox.reported), messages);
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
        samples.add_at("poll_ms", phase.name, point.at_seconds, point.poll_ms);
        // Nothing queued means that nothing waits: an age of 0, not a missing sample.
        samples.add_at("oldest_queued_seconds", phase.name, point.at_seconds,
                       point.oldest_seconds.value_or(0));
    }
}

double seconds_between(std::chrono::steady_clock::time_point from, std::chrono::steady_clock::time_point to) {
    return std::chrono::duration<double>(to - from).count();
}

/// The times of an actor by the second of the phase, for windows and slopes.
std::vector<measure::Slice> slices_of(const actors::Figures &figures, const std::string &metric,
                                      std::chrono::steady_clock::time_point phase_began) {
    std::vector<measure::Slice> slices;
    const auto spread = figures.spread.find(metric);
    if (spread == figures.spread.end())
        return slices;
    double from = seconds_between(phase_began, figures.began);
    for (const measure::Histogram &times : spread->second.slices()) {
        const double to = from + spread->second.step();
        if (!times.empty())
            slices.push_back({from, to, times});
        from = to;
    }
    return slices;
}

void add_figures(measure::Samples &samples, const PhaseResult &phase) {
    long long planned = 0, in_time = 0;
    for (const actors::Figures &figures : phase.figures) {
        samples.tag(phase.name, figures.actor, figures.tags);
        for (const auto &[metric, times] : figures.times)
            samples.add(metric, phase.name, figures.actor, times, slices_of(figures, metric, phase.began));
        for (const auto &[metric, number] : figures.numbers)
            samples.add(metric, phase.name, number, static_cast<std::size_t>(std::max(1.0, number)),
                        figures.actor);
        planned += figures.planned;
        in_time += figures.in_time;
    }
    if (planned > 0)
        samples.add("offered_ratio", phase.name, static_cast<double>(in_time) / static_cast<double>(planned),
                    static_cast<std::size_t>(planned));
}

void add_cost(measure::Samples &samples, const PhaseResult &phase) {
    const measure::Cost &cost = phase.system.cost;
    const auto jobs = static_cast<std::size_t>(phase.ledger.completed);
    if (jobs == 0)
        return;
    const auto add = [&](const char *metric, double whole) {
        samples.add(metric, phase.name, whole / static_cast<double>(jobs), jobs);
    };
    if (cost.round_trips > 0)
        add("round_trips_per_job", cost.round_trips);
    if (!cost.known)
        return;
    add("wal_bytes_per_job", cost.wal_bytes);
    add("buffers_per_job", cost.buffers);
    add("commits_per_job", cost.commits);
}

void add_system(measure::Samples &samples, const PhaseResult &phase) {
    const double began = seconds_between(phase.began, phase.actors_began);
    const measure::SystemSample *before = nullptr;
    for (const measure::SystemSample &sample : phase.system.samples.all()) {
        const auto add = [&](const char *metric, double value) {
            samples.add_at(metric, phase.name, began + sample.at_seconds, value);
        };
        const double seconds = before == nullptr ? 0 : sample.at_seconds - before->at_seconds;
        if (sample.sees_server)
            add("server_memory_mb", sample.server.memory_bytes / kMegabyte);
        if (const double used = seconds > 0 ? sample.server.cpu_seconds - before->server.cpu_seconds : -1;
            sample.sees_server && before != nullptr && before->sees_server && used >= 0)
            add("server_cpu", used / seconds);
        add("driver_memory_mb", sample.driver.memory_bytes / kMegabyte);
        add("locks_waited_for", sample.locks_waited_for);
        add("dead_rows", sample.dead_rows);
        add("horizon_age", sample.horizon_age);
        add("connections", sample.connections);
        before = &sample;
    }
}

/// What a server cannot show is said, and not held against the queue; nor is what only a phase that has drained shows.
void skip_unseen(RunResult &run) {
    const auto of_history = [](const std::string &metric) {
        return std::any_of(std::begin(judge::kHistoryMetrics), std::end(judge::kHistoryMetrics),
                           [&](const char *name) { return metric == name; });
    };
    for (judge::GateResult &result : run.gates) {
        const judge::MetricRef &ref = result.gate.operands[0];
        if (result.samples > 0)
            continue;
        for (const PhaseResult &phase : run.phases) {
            std::string why;
            if (of_history(ref.metric))
                why = phase.no_history;
            else if (ref.metric == "leaks" && phase.end != PhaseEnd::drained)
                why = fmt::format("phase {} did not drain", phase.name);
            if (why.empty() || (!ref.phase.empty() && ref.phase != phase.name))
                continue;
            result.verdict = judge::Verdict::skipped;
            result.note = why;
        }
    }
}

} // namespace

std::string phase_end_word(PhaseEnd end) {
    switch (end) {
    case PhaseEnd::drained:
        return "drained";
    case PhaseEnd::sent:
        return "sent";
    case PhaseEnd::timeout:
        return "timeout";
    case PhaseEnd::at_rest:
        return "at rest";
    case PhaseEnd::gate_failed:
        return "ended by a gate";
    case PhaseEnd::interrupted:
        return "interrupted";
    case PhaseEnd::failed:
        return "failed";
    }
    return "?";
}

void add_samples(measure::Samples &samples, const PhaseResult &phase) {
    samples.lasted(phase.name, phase.wall_seconds);
    add_counts(samples, phase);
    add_ticks(samples, phase);
    add_times(samples, phase);
    add_figures(samples, phase);
    add_cost(samples, phase);
    add_system(samples, phase);
}

void conclude(RunResult &run, measure::Samples samples, const judge::Baseline *baseline) {
    run.ledger = judge::Ledger{};
    for (std::size_t i = 0; i < run.phases.size(); ++i)
        if (i + 1 == run.phases.size() || !run.phases[i + 1].goes_on)
            run.ledger += run.phases[i].ledger;
    const auto ended = std::count_if(run.phases.begin(), run.phases.end(), [](const PhaseResult &phase) {
        return phase.end == PhaseEnd::drained || phase.end == PhaseEnd::sent;
    });
    const std::size_t planned = run.plan->phases.size();
    run.complete = !run.interrupted && static_cast<std::size_t>(ended) == planned;
    samples.add("phases_complete_ratio", "", static_cast<double>(ended) / static_cast<double>(planned),
                planned);
    run.gates.clear();
    for (const judge::Gate &gate : run.plan->gates) {
        run.gates.push_back(judge::judge(gate, samples, baseline));
        for (const PhaseResult &phase : run.phases)
            if (const auto &by = phase.stopped_by;
                by && by->gate.metric_text == gate.metric_text && by->gate.expression == gate.expression)
                run.gates.back() = *by; // what came afterwards does not make it good
    }
    skip_unseen(run);
    if (run.interrupted)
        skip_unproven(run.gates);
    run.outcome = overall(run.gates, run.interrupted);
}

} // namespace fairq::driver::engine
