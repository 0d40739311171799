// json.cpp: the JSON summary, in the shape of k6's, with the measured value, the number of samples and
// a three-valued verdict beside every threshold. `version` is the schema's.
#include <thread>

#include <nlohmann/json.hpp>

#include "report/report.hpp"

namespace fairq::driver::report {
namespace {

using json = nlohmann::ordered_json;

constexpr const char *kSchemaVersion = "1.0.0";

const char *verdict_text(judge::Verdict verdict) {
    switch (verdict) {
    case judge::Verdict::passed:
        return "pass";
    case judge::Verdict::failed:
        return "fail";
    case judge::Verdict::inconclusive:
        return "inconclusive";
    case judge::Verdict::skipped:
        return "skipped";
    }
    return "inconclusive";
}

std::string lower(std::string text) {
    for (char &c : text)
        c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    return text;
}

/// Messages of the server may hold any bytes: what is no UTF-8 is replaced instead of failing at the very
/// end.
std::string text_of(const json &document) {
    return document.dump(2, ' ', false, json::error_handler_t::replace) + "\n";
}

json metadata(const engine::RunResult &run) {
    return {{"run_id", run.run_id},
            {"plan", run.plan->name},
            {"profile", run.plan->profile},
            {"seed", run.seed},
            {"generated_at", run.generated_at},
            {"again", run.again},
            {"wall_seconds", run.wall_seconds},
            {"reconnects", run.reconnects},
            {"throwaway_cluster", run.throwaway},
            {"notes", run.notes},
            {"extension", run.server.extension},
            {"schema", run.server.schema},
            {"pg_cron", run.cron_version.empty() ? json(nullptr) : json(run.cron_version)},
            {"server", {{"version", run.server.version}, {"settings", run.server.settings}}},
            {"host", {{"cpus", std::thread::hardware_concurrency()}}}};
}

json worker_config(const plan::WorkerActor &worker) {
    return {{"kind", worker.kind == plan::WorkerKind::cron ? "cron" : "tick"},
            {"job", worker.job},
            {"workers", worker.workers},
            {"every_ms", worker.every.count()},
            {"keep", worker.keep}};
}

json phase_config(const plan::Phase &phase) {
    json config{{"name", phase.name},
                {"clear", phase.clear},
                {"drain", phase.drain},
                {"before", phase.before},
                {"after", phase.after}};
    config["timeout_ms"] = phase.timeout.count();
    config["at_rest_ms"] = phase.at_rest.count();
    config["duration_ms"] = phase.duration ? json(phase.duration->count()) : json(nullptr);
    for (const char *actors : {"seed", "enqueue", "workers", "calls", "holders", "faults"})
        config[actors] = json::array();
    for (const plan::SeedActor &seed : phase.seeds)
        config["seed"].push_back({{"jobs", seed.jobs}, {"tenants", seed.tenants}});
    for (const plan::EnqueueActor &enqueue : phase.enqueues)
        config["enqueue"].push_back({{"per_second", enqueue.per_second},
                                     {"duration_ms", enqueue.duration.count()},
                                     {"tenants", enqueue.tenants},
                                     {"work_ms", enqueue.work_ms}});
    for (const plan::WorkerActor &worker : phase.workers)
        config["workers"].push_back(worker_config(worker));
    for (const plan::ExternalWorkersActor &workers : phase.external)
        config["workers"].push_back({{"kind", "external"},
                                     {"name", workers.name},
                                     {"workers", workers.workers},
                                     {"batch", workers.batch},
                                     {"tenant_cap", workers.tenant_cap},
                                     {"work_ms", workers.work ? json(workers.work->count()) : json(nullptr)},
                                     {"fail", workers.fail}});
    for (const plan::CallsActor &calls : phase.calls)
        config["calls"].push_back({{"name", calls.name},
                                   {"sql", calls.sql},
                                   {"planned", planned_calls(calls.stages)},
                                   {"poisson", calls.poisson},
                                   {"connections", calls.connections},
                                   {"tenants", calls.tenants},
                                   {"enqueues", calls.enqueues},
                                   {"fresh", calls.fresh},
                                   {"expect", calls.expect}});
    for (const plan::FaultsActor &faults : phase.faults)
        config["faults"].push_back({{"name", faults.name},
                                    {"kind", plan::fault_kind_names()[static_cast<std::size_t>(faults.kind)]},
                                    {"of", faults.of},
                                    {"first_ms", faults.first.count()},
                                    {"every_ms", faults.every.count()},
                                    {"times", faults.times}});
    for (const plan::HoldersActor &holders : phase.holders)
        config["holders"].push_back({{"name", holders.name},
                                     {"sql", holders.sql},
                                     {"sessions", holders.sessions},
                                     {"isolation", holders.isolation}});
    return config;
}

json config(const plan::Plan &plan) {
    json config{{"plan_file", plan.path}, {"sample_every_ms", plan.sample_every.count()}};
    config["rows"] = plan.rows;
    config["undo"] = plan.undo;
    config["params"] = json::object();
    for (const auto &[name, value] : plan.params)
        config["params"][name] = value;
    config["server_settings"] = plan.server.settings;
    config["phases"] = json::array();
    for (const plan::Phase &phase : plan.phases)
        config["phases"].push_back(phase_config(phase));
    return config;
}

json ledger(const judge::Ledger &l) {
    return {{"attempt_count", l.attempted},
            {"acknowledged_count", l.acknowledged},
            {"unknown_count", l.unknown},
            {"ok_count", l.completed},
            {"lost_count", l.lost},
            {"duplicated_count", l.duplicated},
            {"unexpected_count", l.unexpected},
            {"failed_count", l.failed},
            {"recovered_count", l.recovered},
            {"vanished_count", l.vanished},
            {"foreign_count", l.foreign},
            {"stuck_count", l.stuck},
            {"unfinished_count", l.unfinished},
            {"outbox_count", l.outbox},
            {"dead_letter_count", l.dead},
            {"reexecuted_count", l.executed_again},
            {"early_count", l.early},
            {"out_of_order_count", l.out_of_order},
            {"leak_count", l.leaks},
            {"cap_violations", l.cap_violations},
            {"key_violations", l.key_violations},
            {"lease_overlaps", l.lease_overlaps},
            {"first_bad", l.first_bad}};
}

json selector(const judge::MetricRef &ref) {
    json tags = json::object();
    if (!ref.phase.empty())
        tags["phase"] = ref.phase;
    if (!ref.actor.empty())
        tags["actor"] = ref.actor;
    for (const auto &[tag, value] : ref.tags)
        tags[tag] = value;
    return tags;
}

json threshold(const judge::GateResult &result) {
    json selectors = json::array();
    for (const judge::MetricRef &ref : result.gate.operands)
        selectors.push_back(selector(ref));
    return {{"id", result.gate.id},
            {"title", result.gate.title},
            {"metric", result.gate.metric_text},
            {"selector", selectors.size() == 1 ? selectors[0] : selectors},
            {"expr", result.gate.expression},
            {"value", result.value ? json(*result.value) : json(nullptr)},
            {"limit", result.limit ? json(*result.limit) : json(nullptr)},
            {"level", judge::level_word(result.level)},
            {"samples", result.samples},
            {"min_samples", result.gate.min_samples},
            {"verdict", verdict_text(result.verdict)},
            {"note", result.note}};
}

json metric_values(const measure::MetricInfo &metric, const measure::Series &series) {
    if (metric.type != measure::MetricType::trend)
        return {{"value", series.sum()}, {"samples", series.samples}};
    json values{{"count", series.count()}};
    values["avg"] = series.average();
    values["min"] = series.percentile(0);
    for (const auto &[name, p] : {std::pair("p50", 50.0), std::pair("p90", 90.0), std::pair("p95", 95.0),
                                  std::pair("p99", 99.0), std::pair("p99.9", 99.9)})
        values[name] = series.percentile(p);
    values["max"] = series.percentile(100);
    return values;
}

json metrics(const engine::RunResult &run) {
    measure::Samples samples;
    for (const engine::PhaseResult &phase : run.phases)
        add_samples(samples, phase);
    static const char *const kTypes[] = {"counter", "gauge", "trend"};
    json list = json::array();
    for (const engine::PhaseResult &phase : run.phases)
        for (const measure::MetricInfo &metric : measure::known_metrics())
            for (const measure::Series &series : samples.series(metric.name, phase.name))
                list.push_back({{"name", metric.name},
                                {"phase", phase.name},
                                {"actor", series.actor.empty() ? json(nullptr) : json(series.actor)},
                                {"type", kTypes[static_cast<int>(metric.type)]},
                                {"values", metric_values(metric, series)}});
    return list;
}

json stuck(const std::optional<db::StuckReport> &report) {
    if (!report)
        return nullptr;
    return {{"why", report->why},
            {"counts", report->counts},
            {"oldest_locked", report->oldest_locked},
            {"last_ticks", report->last_ticks},
            {"worker_errors", report->worker_errors}};
}

json phase_result(const engine::PhaseResult &phase) {
    return {{"name", phase.name},
            {"end", engine::phase_end_word(phase.end)},
            {"started_at", phase.started_at},
            {"wall_seconds", phase.wall_seconds},
            {"drain_seconds", phase.drain ? json(phase.drain->seconds) : json(nullptr)},
            {"ticks", phase.ticks.size()},
            {"tenant_jobs", phase.ledger.tenant_jobs},
            {"tenant_completed", phase.ledger.tenant_completed},
            {"samples", phase.series.size()},
            {"missed_samples", phase.missed_samples},
            {"duplicate_keys_of_anybody", phase.outbox.anybodys},
            {"ledger", ledger(phase.ledger)},
            {"stuck", stuck(phase.stuck)},
            {"notes", phase.notes}};
}

json series(const engine::RunResult &run) {
    json points = json::array();
    for (const engine::PhaseResult &phase : run.phases)
        for (const engine::SamplePoint &point : phase.series)
            points.push_back({{"phase", phase.name},
                              {"at_seconds", point.at_seconds},
                              {"queued", point.queued},
                              {"locked", point.locked},
                              {"completed", point.completed},
                              {"oldest_queued_seconds",
                               point.oldest_seconds ? json(*point.oldest_seconds) : json(nullptr)},
                              {"poll_ms", point.poll_ms}});
    return points;
}

} // namespace

std::string json_report(const engine::RunResult &run) {
    const judge::Tally counts = judge::tally(run.gates);
    json document{{"version", kSchemaVersion},
                  {"complete", run.complete},
                  {"verdict", lower(judge::outcome_word(run.outcome))},
                  {"exit_code", judge::exit_code(run.outcome)},
                  {"passed", counts.passed},
                  {"failed", counts.failed},
                  {"skipped", counts.skipped}};
    document["metadata"] = metadata(run);
    document["config"] = config(*run.plan);
    document["ledger"] = ledger(run.ledger);
    document["thresholds"] = json::array();
    for (const judge::GateResult &result : run.gates)
        document["thresholds"].push_back(threshold(result));
    document["metrics"] = metrics(run);
    document["phases"] = json::array();
    for (const engine::PhaseResult &phase : run.phases)
        document["phases"].push_back(phase_result(phase));
    document["series"] = series(run);
    return text_of(document);
}

std::string json_failure(judge::Outcome outcome, const std::string &message) {
    return text_of({{"version", kSchemaVersion},
                    {"complete", false},
                    {"verdict", lower(judge::outcome_word(outcome))},
                    {"exit_code", judge::exit_code(outcome)},
                    {"error", message}});
}

} // namespace fairq::driver::report
