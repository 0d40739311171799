// json.cpp: see json.hpp.
#include "report/json.hpp"

#include <nlohmann/json.hpp>

namespace fairq::driver::report {
namespace {

using json = nlohmann::ordered_json;

std::string lower(std::string text) {
    for (char &c : text)
        c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    return text;
}

/// Messages of the server may hold any bytes: what is no UTF-8 is replaced instead of failing at the very
/// end.
std::string text_of(const json &document) {
    return document.dump(1, ' ', false, json::error_handler_t::replace) + "\n";
}

template <class Value>
json optional(const std::optional<Value> &value) {
    return value ? json(*value) : json(nullptr);
}

json text_or_null(const std::string &text) {
    return text.empty() ? json(nullptr) : json(text);
}

json metadata(const Summary &summary) {
    return {{"run_id", summary.run_id},
            {"plan", summary.plan},
            {"description", summary.description},
            {"profile", summary.profile},
            {"seed", summary.seed},
            {"generated_at", summary.generated_at},
            {"again", summary.again},
            {"wall_seconds", summary.wall_seconds},
            {"reconnects", summary.reconnects},
            {"throwaway_cluster", summary.throwaway},
            {"interrupted", summary.interrupted},
            {"notes", summary.notes},
            {"extension", summary.extension},
            {"schema", summary.schema},
            {"place", summary.place},
            {"pg_cron", text_or_null(summary.cron)},
            {"server", {{"version", summary.server}, {"settings", summary.settings}}},
            {"host", {{"cpus", summary.cpus}}}};
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

json threshold(const GateLine &gate) {
    json selectors = json::array();
    for (const measure::Tags &tags : gate.selectors)
        selectors.push_back(json(tags));
    return {{"id", gate.id},
            {"title", gate.title},
            {"metric", gate.metric},
            {"class", gate.gate_class},
            {"selector", selectors.size() == 1 ? selectors[0] : selectors},
            {"expr", gate.expression},
            {"limit", optional(gate.limit)},
            {"level", text_or_null(gate.level)},
            {"value", optional(gate.value)},
            {"samples", gate.samples},
            {"min_samples", gate.min_samples},
            {"verdict", verdict_name(gate.verdict)},
            {"note", gate.note},
            {"hint", gate.hint}};
}

json metric(const MetricLine &line) {
    json values{{"value", line.value}, {"samples", line.samples}};
    if (line.type == "trend") {
        values = {{"count", line.samples}, {"avg", line.average}};
        for (const char *name : {"min", "p50", "p90", "p95", "p99", "p99.9", "max"})
            if (const auto found = line.quantiles.find(name); found != line.quantiles.end())
                values[name] = found->second;
    }
    json document{{"name", line.name}, {"phase", line.phase},        {"actor", text_or_null(line.actor)},
                  {"type", line.type}, {"class", line.gate_class},   {"better", line.better},
                  {"values", values},  {"intervals", json::object()}};
    for (const auto &[name, interval] : line.intervals)
        document["intervals"][name] = {interval.first, interval.second};
    if (!line.spectrum.empty())
        document["spectrum"] = line.spectrum;
    return document;
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

json faults(const PhaseSummary &phase) {
    json list = json::array();
    for (const FaultLine &fault : phase.faults)
        list.push_back({{"name", fault.name},
                        {"from_seconds", fault.from},
                        {"to_seconds", fault.to},
                        {"fired", fault.fired}});
    return list;
}

json errors(const PhaseSummary &phase) {
    json list = json::array();
    for (const ErrorLine &error : phase.errors)
        list.push_back({{"sqlstate", text_or_null(error.sqlstate)},
                        {"actor", error.actor},
                        {"count", error.count},
                        {"expected", error.expected},
                        {"example", error.example}});
    return list;
}

json cost(const CostLine &line) {
    return {{"jobs", line.jobs},       {"known", line.known},     {"wal_bytes", line.wal_bytes},
            {"buffers", line.buffers}, {"commits", line.commits}, {"round_trips", line.round_trips}};
}

json phase_result(const PhaseSummary &phase) {
    return {{"name", phase.name},
            {"end", phase.end},
            {"started_at", phase.started_at},
            {"wall_seconds", phase.wall_seconds},
            {"goes_on", phase.goes_on},
            {"drain_seconds", optional(phase.drain_seconds)},
            {"drained_jobs", phase.drained_jobs},
            {"ticks", phase.ticks},
            {"tick_jobs", phase.tick_jobs},
            {"tenant_jobs", phase.ledger.tenant_jobs},
            {"tenant_completed", phase.ledger.tenant_completed},
            {"samples", phase.queue_samples},
            {"missed_samples", phase.missed_samples},
            {"system_samples", phase.system_samples},
            {"system_missed", phase.system_missed},
            {"sees_server", phase.sees_server},
            {"duplicate_keys_of_anybody", phase.duplicate_keys_of_anybody},
            {"ledger", ledger(phase.ledger)},
            {"cost", cost(phase.cost)},
            {"faults", faults(phase)},
            {"errors", errors(phase)},
            {"stuck", stuck(phase.stuck)},
            {"notes", phase.notes}};
}

json queue_series(const Summary &summary) {
    json points = json::array();
    for (const PhaseSummary &phase : summary.phases)
        for (const QueuePoint &point : phase.queue)
            points.push_back({{"phase", phase.name},
                              {"at_seconds", point.at},
                              {"queued", point.queued},
                              {"locked", point.locked},
                              {"completed", point.completed},
                              {"completed_per_second", point.rate},
                              {"oldest_queued_seconds", optional(point.oldest)},
                              {"poll_ms", point.poll_ms}});
    return points;
}

json system_point(const std::string &phase, const SystemPoint &point) {
    return {{"phase", phase},
            {"at_seconds", point.at},
            {"server_cpu", point.server_cpu},
            {"driver_cpu", point.driver_cpu},
            {"workers_cpu", point.workers_cpu},
            {"server_memory_bytes", point.server_memory},
            {"driver_memory_bytes", point.driver_memory},
            {"workers_memory_bytes", point.workers_memory},
            {"server_descriptors", point.server_descriptors},
            {"driver_descriptors", point.driver_descriptors},
            {"wal_bytes_per_second", point.wal_rate},
            {"commits_per_second", point.commit_rate},
            {"locks_waited_for", point.locks},
            {"dead_rows", point.dead_rows},
            {"database_bytes", point.database_size},
            {"horizon_age", point.horizon},
            {"notification_queue", point.notifications},
            {"connections", point.connections},
            {"waits", point.waits}};
}

json system_series(const Summary &summary) {
    json points = json::array();
    for (const PhaseSummary &phase : summary.phases)
        for (const SystemPoint &point : phase.system)
            points.push_back(system_point(phase.name, point));
    return points;
}

json latency_series(const Summary &summary) {
    json list = json::array();
    for (const PhaseSummary &phase : summary.phases)
        for (const LatencySeries &series : phase.latency) {
            json points = json::array();
            for (const LatencyPoint &point : series.points)
                points.push_back({point.at, point.count, point.p50, point.p95, point.p99, point.max});
            list.push_back({{"phase", phase.name},
                            {"metric", series.metric},
                            {"actor", series.actor},
                            {"step_seconds", series.step},
                            {"columns", {"at_seconds", "count", "p50", "p95", "p99", "max"}},
                            {"points", points}});
        }
    return list;
}

} // namespace

std::string json_report(const Summary &summary) {
    json document{{"version", kSchemaVersion},
                  {"complete", summary.complete},
                  {"verdict", lower(judge::outcome_word(summary.outcome))},
                  {"exit_code", judge::exit_code(summary.outcome)},
                  {"passed", summary.tally.passed},
                  {"failed", summary.tally.failed},
                  {"skipped", summary.tally.skipped}};
    document["metadata"] = metadata(summary);
    document["config"] = json::parse(summary.config.empty() ? "{}" : summary.config);
    document["ledger"] = ledger(summary.ledger);
    document["thresholds"] = json::array();
    for (const GateLine &gate : summary.gates)
        document["thresholds"].push_back(threshold(gate));
    document["metrics"] = json::array();
    for (const MetricLine &line : summary.metrics)
        document["metrics"].push_back(metric(line));
    document["phases"] = json::array();
    for (const PhaseSummary &phase : summary.phases)
        document["phases"].push_back(phase_result(phase));
    document["series"] = queue_series(summary);
    document["latency"] = latency_series(summary);
    document["system"] = system_series(summary);
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
