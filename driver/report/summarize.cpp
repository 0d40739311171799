// summarize.cpp: from what a run found out to what is shown of it. Pure.
#include "report/summary.hpp"

#include <algorithm>
#include <cmath>
#include <thread>

#include "report/config.hpp"

namespace fairq::driver::report {
namespace {

using measure::Histogram;
using measure::SystemSample;

constexpr double kStandardErrors = 2.576; // of 99 out of 100 repetitions
constexpr std::size_t kBlocks = 10;
constexpr double kThousand = 1000;

double seconds_between(std::chrono::steady_clock::time_point from, std::chrono::steady_clock::time_point to) {
    return std::chrono::duration<double>(to - from).count();
}

double milliseconds(std::int64_t microseconds) {
    return static_cast<double>(microseconds) / kThousand;
}

const char *type_name(measure::MetricType type) {
    static const char *const kNames[] = {"counter", "gauge", "trend"};
    return kNames[static_cast<int>(type)];
}

const char *class_name(measure::GateClass gate_class) {
    static const char *const kNames[] = {"invariant", "threshold", "validity"};
    return kNames[static_cast<int>(gate_class)];
}

const char *better_name(measure::Better better) {
    static const char *const kNames[] = {"lower", "higher", "neither"};
    return kNames[static_cast<int>(better)];
}

measure::Tags selector_of(const judge::MetricRef &ref) {
    measure::Tags tags = ref.tags;
    if (!ref.phase.empty())
        tags["phase"] = ref.phase;
    if (!ref.actor.empty())
        tags["actor"] = ref.actor;
    return tags;
}

GateLine gate_line(const judge::GateResult &result) {
    GateLine line;
    const judge::Gate &gate = result.gate;
    line.id = gate.id;
    line.title = gate.title;
    line.metric = gate.metric_text;
    line.expression = gate.expression;
    for (const judge::MetricRef &ref : gate.operands)
        line.selectors.push_back(selector_of(ref));
    line.gate_class = class_name(gate.gate_class);
    line.verdict = result.verdict;
    line.value = result.value;
    line.limit = result.limit;
    line.level = judge::level_word(result.level);
    line.samples = static_cast<long long>(result.samples);
    line.min_samples = static_cast<long long>(gate.min_samples);
    line.note = result.note;
    return line;
}

/// The percentiles between which the p-th of n values lies in 99 of 100 repetitions, if the values do not depend on each
/// other.
std::pair<double, double> around(double p, std::size_t n) {
    const double width = kStandardErrors * std::sqrt(p * (100 - p) / std::max(1.0, static_cast<double>(n)));
    return {std::max(0.0, p - width), std::min(100.0, p + width)};
}

/// They do depend on each other: a slow second is slow for all. So the phase is cut into blocks, and how the blocks
/// differ widens the interval.
double by_blocks(const measure::Timeline &spread, double p) {
    const auto &slices = spread.slices();
    if (slices.size() < kBlocks)
        return 0;
    std::vector<double> found;
    for (std::size_t block = 0; block < kBlocks; ++block) {
        Histogram times{Histogram::kCoarse};
        for (std::size_t i = block * slices.size() / kBlocks; i < (block + 1) * slices.size() / kBlocks; ++i)
            times.add(slices[i]);
        if (!times.empty())
            found.push_back(milliseconds(times.percentile(p)));
    }
    if (found.size() < 3)
        return 0;
    const double middle = measure::percentile(found, 50);
    std::vector<double> deviations;
    for (const double value : found)
        deviations.push_back(std::abs(value - middle));
    constexpr double kNormal = 1.4826; // of the median deviation, to a standard deviation
    return kStandardErrors * kNormal * measure::percentile(deviations, 50) /
           std::sqrt(static_cast<double>(found.size()));
}

void add_times(MetricLine &line, const Histogram &times, const measure::Timeline *spread) {
    for (const double p : {0.0, 10.0, 25.0, 50.0, 75.0, 90.0, 95.0, 97.5, 99.0, 99.5, 99.75, 99.9, 99.95,
                           99.99, 99.999, 100.0}) {
        const double beyond = static_cast<double>(times.count()) * (100 - p) / 100;
        if (p < 100 && beyond < 1 && p > 50)
            continue; // fewer than one value stands for it
        line.spectrum.emplace_back(p, milliseconds(times.percentile(p)));
    }
    for (const auto &[name, p] : {std::pair("p50", 50.0), std::pair("p95", 95.0), std::pair("p99", 99.0)}) {
        const auto [from, to] = around(p, static_cast<std::size_t>(times.count()));
        const double low = milliseconds(times.percentile(from)), high = milliseconds(times.percentile(to));
        const double blocks = spread == nullptr ? 0 : by_blocks(*spread, p);
        const double value = milliseconds(times.percentile(p));
        line.intervals[name] = {std::max(0.0, std::min(low, value - blocks)), std::max(high, value + blocks)};
    }
}

void add_sampled(MetricLine &line, const measure::Series &series) {
    for (const auto &[name, p] : {std::pair("p50", 50.0), std::pair("p95", 95.0), std::pair("p99", 99.0)}) {
        const auto [from, to] = around(p, series.count());
        line.intervals[name] = {series.percentile(from), series.percentile(to)};
    }
}

const measure::Timeline *spread_of(const engine::PhaseResult &phase, const measure::Series &series) {
    for (const actors::Figures &figures : phase.figures)
        if (figures.actor == series.actor)
            if (const auto found = figures.spread.find(series.metric); found != figures.spread.end())
                return &found->second;
    return nullptr;
}

/// How much the throughput of a drain varied while it went on, as a share of it.
double variation(const std::vector<QueuePoint> &points) {
    std::vector<double> rates;
    for (const QueuePoint &point : points)
        if (point.rate > 0)
            rates.push_back(point.rate);
    if (rates.size() < 3)
        return 0;
    double sum = 0, squares = 0;
    for (const double rate : rates)
        sum += rate;
    const double mean = sum / static_cast<double>(rates.size());
    for (const double rate : rates)
        squares += (rate - mean) * (rate - mean);
    const double deviation = std::sqrt(squares / static_cast<double>(rates.size() - 1));
    return kStandardErrors * deviation / std::sqrt(static_cast<double>(rates.size())) / mean;
}

MetricLine metric_line(const measure::MetricInfo &metric, const measure::Series &series,
                       const engine::PhaseResult &phase, const PhaseSummary &summary) {
    MetricLine line;
    line.name = metric.name;
    line.phase = series.phase;
    line.actor = series.actor;
    line.type = type_name(metric.type);
    line.better = better_name(measure::better(metric));
    line.gate_class = class_name(metric.gate_class);
    line.samples = static_cast<long long>(series.samples);
    if (metric.type != measure::MetricType::trend) {
        line.value = series.sum();
        const bool drain = line.name == "drain_seconds" || line.name == "drain_jobs_per_second";
        if (const double share = drain ? variation(summary.queue) : 0; share > 0)
            line.intervals["value"] = {line.value * (1 - std::min(1.0, share)), line.value * (1 + share)};
        return line;
    }
    line.samples = static_cast<long long>(series.count());
    line.average = series.average();
    for (const auto &[name, p] :
         {std::pair("min", 0.0), std::pair("p50", 50.0), std::pair("p90", 90.0), std::pair("p95", 95.0),
          std::pair("p99", 99.0), std::pair("p99.9", 99.9), std::pair("max", 100.0)})
        line.quantiles[name] = series.percentile(p);
    if (series.times.empty())
        add_sampled(line, series);
    else
        add_times(line, series.times, spread_of(phase, series));
    return line;
}

std::vector<QueuePoint> queue_points(const engine::PhaseResult &phase) {
    const std::size_t each = (phase.series.size() + kMostPoints - 1) / kMostPoints;
    std::vector<QueuePoint> points;
    for (std::size_t i = 0; i < phase.series.size(); ++i) {
        const engine::SamplePoint &point = phase.series[i];
        if (i % each == 0)
            points.push_back({point.at_seconds, 0, 0, 0, std::nullopt, 0, 0});
        QueuePoint &kept = points.back();
        kept.queued = std::max(kept.queued, point.queued);
        kept.locked = std::max(kept.locked, point.locked);
        kept.completed = std::max(kept.completed, point.completed);
        kept.poll_ms = std::max(kept.poll_ms, point.poll_ms);
        if (point.oldest_seconds)
            kept.oldest = std::max(kept.oldest.value_or(0), *point.oldest_seconds);
    }
    for (std::size_t i = 1; i < points.size(); ++i)
        if (const double seconds = points[i].at - points[i - 1].at; seconds > 0)
            points[i].rate =
                std::max(0.0, static_cast<double>(points[i].completed - points[i - 1].completed) / seconds);
    return points;
}

/// What a counter grew by in a second; 0 when it began anew.
double rate(double before, double now, double seconds) {
    return seconds > 0 ? std::max(0.0, (now - before) / seconds) : 0;
}

std::vector<SystemPoint> system_points(const std::vector<SystemSample> &samples, double offset) {
    std::vector<SystemPoint> points;
    for (std::size_t i = 0; i < samples.size(); ++i) {
        const SystemSample &now = samples[i], &before = samples[i == 0 ? 0 : i - 1];
        const double seconds = now.at_seconds - before.at_seconds;
        SystemPoint point;
        point.at = now.at_seconds + offset;
        if (now.sees_server && before.sees_server)
            point.server_cpu = rate(before.server.cpu_seconds, now.server.cpu_seconds, seconds);
        point.driver_cpu = rate(before.driver.cpu_seconds, now.driver.cpu_seconds, seconds);
        point.workers_cpu = rate(before.workers.cpu_seconds, now.workers.cpu_seconds, seconds);
        point.server_memory = now.server.memory_bytes;
        point.driver_memory = now.driver.memory_bytes;
        point.workers_memory = now.workers.memory_bytes;
        point.server_descriptors = now.server.descriptors;
        point.driver_descriptors = now.driver.descriptors;
        point.wal_rate = rate(before.counters.wal_bytes, now.counters.wal_bytes, seconds);
        point.commit_rate = rate(before.counters.commits, now.counters.commits, seconds);
        point.locks = now.locks_waited_for;
        point.dead_rows = now.dead_rows;
        point.database_size = now.database_bytes;
        point.horizon = now.horizon_age;
        point.notifications = now.notification_queue;
        point.connections = now.connections;
        point.waits = now.waits;
        points.push_back(std::move(point));
    }
    return points;
}

LatencySeries latency_series(const std::string &metric, const std::string &actor, double offset,
                             const measure::Timeline &spread) {
    LatencySeries series{metric, actor, spread.step(), {}};
    double at = offset;
    for (const Histogram &slice : spread.slices()) {
        if (!slice.empty())
            series.points.push_back({at, slice.count(), milliseconds(slice.percentile(50)),
                                     milliseconds(slice.percentile(95)), milliseconds(slice.percentile(99)),
                                     milliseconds(slice.max())});
        at += spread.step();
    }
    return series;
}

void add_figures(PhaseSummary &phase, const actors::Figures &figures, double offset) {
    for (const auto &[metric, spread] : figures.spread)
        phase.latency.push_back(latency_series(metric, figures.actor, offset, spread));
    for (const actors::FaultWindow &window : figures.windows)
        phase.faults.push_back({figures.actor, window.from + offset, window.to + offset, window.fired});
    for (const auto &[sqlstate, errors] : figures.errors)
        phase.errors.push_back({sqlstate, figures.actor, errors.example, errors.count, errors.expected});
}

PhaseSummary phase_summary(const engine::PhaseResult &phase) {
    PhaseSummary summary;
    summary.name = phase.name;
    summary.end = engine::phase_end_word(phase.end);
    summary.started_at = phase.started_at;
    summary.wall_seconds = phase.wall_seconds;
    summary.goes_on = phase.goes_on;
    if (phase.drain) {
        summary.drain_seconds = phase.drain->seconds;
        summary.drained_jobs = phase.drain->completed;
    }
    summary.ticks = static_cast<long long>(phase.ticks.size());
    for (const db::Tick &tick : phase.ticks)
        summary.tick_jobs += tick.claimed;
    summary.queue_samples = static_cast<long long>(phase.series.size());
    summary.missed_samples = phase.missed_samples;
    summary.duplicate_keys_of_anybody = phase.outbox.anybodys;
    summary.system_samples = phase.system.samples.taken();
    summary.system_missed = phase.system.missed;
    summary.ledger = phase.ledger;
    summary.queue = queue_points(phase);
    summary.system =
        system_points(phase.system.samples.all(), seconds_between(phase.began, phase.actors_began));
    for (const SystemSample &sample : phase.system.samples.all())
        summary.sees_server = summary.sees_server || sample.sees_server;
    for (const actors::Figures &figures : phase.figures)
        add_figures(summary, figures, seconds_between(phase.began, figures.began));
    const measure::Cost &cost = phase.system.cost;
    summary.cost = {phase.ledger.completed, cost.known,   cost.wal_bytes,
                    cost.buffers,           cost.commits, cost.round_trips};
    summary.stuck = phase.stuck;
    summary.notes = phase.notes;
    return summary;
}

void add_metrics(Summary &summary, const engine::RunResult &run) {
    measure::Samples samples;
    for (const engine::PhaseResult &phase : run.phases)
        add_samples(samples, phase);
    for (std::size_t i = 0; i < run.phases.size(); ++i)
        for (const measure::MetricInfo &metric : measure::known_metrics())
            for (const measure::Series &series : samples.series(metric.name, run.phases[i].name))
                summary.metrics.push_back(metric_line(metric, series, run.phases[i], summary.phases[i]));
}

void add_head(Summary &summary, const engine::RunResult &run) {
    summary.complete = run.complete;
    summary.interrupted = run.interrupted;
    summary.outcome = run.outcome;
    summary.tally = judge::tally(run.gates);
    summary.run_id = run.run_id;
    summary.plan = run.plan->name;
    summary.description = run.plan->description;
    summary.profile = run.plan->profile;
    summary.generated_at = run.generated_at;
    summary.again = run.again;
    summary.place = run.server.place;
    summary.seed = run.seed;
    summary.wall_seconds = run.wall_seconds;
    summary.reconnects = run.reconnects;
    summary.throwaway = run.throwaway;
    summary.extension = run.server.extension;
    summary.schema = run.server.schema;
    summary.cron = run.cron_version;
    summary.server = run.server.version;
    summary.settings = run.server.settings;
    summary.cpus = std::thread::hardware_concurrency();
    summary.notes = run.notes;
    summary.config = plan_config(*run.plan);
    summary.ledger = run.ledger;
}

} // namespace

Summary summarize(const engine::RunResult &run) {
    Summary summary;
    add_head(summary, run);
    for (const engine::PhaseResult &phase : run.phases)
        summary.phases.push_back(phase_summary(phase));
    add_metrics(summary, run);
    for (const judge::GateResult &result : run.gates)
        summary.gates.push_back(gate_line(result));
    for (GateLine &gate : summary.gates)
        gate.hint = cause_hint(gate, summary);
    return summary;
}

} // namespace fairq::driver::report
