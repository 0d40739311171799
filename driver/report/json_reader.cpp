// json_reader.cpp: from a stored result back to a summary. What a result of an older version lacks stays empty.
#include <nlohmann/json.hpp>

#include <fmt/format.h>

#include "report/json.hpp"

namespace fairq::driver::report {
namespace {

using json = nlohmann::ordered_json;

/// Takes a member if it is there and not null.
template <class Value>
void take(const json &from, const char *name, Value &value) {
    if (const auto found = from.find(name); found != from.end() && !found->is_null())
        value = found->get<Value>();
}

template <class Value>
void take(const json &from, const char *name, std::optional<Value> &value) {
    if (const auto found = from.find(name); found != from.end() && !found->is_null())
        value = found->get<Value>();
}

const json &member(const json &from, const char *name) {
    static const json kNothing;
    const auto found = from.find(name);
    return found == from.end() ? kNothing : *found;
}

judge::Outcome outcome_of(const std::string &name) {
    using judge::Outcome;
    for (const Outcome outcome : {Outcome::pass, Outcome::broken, Outcome::fail, Outcome::inconclusive,
                                  Outcome::usage, Outcome::setup, Outcome::aborted, Outcome::unwritten}) {
        std::string word = judge::outcome_word(outcome);
        for (char &c : word)
            c = static_cast<char>(c - 'A' + 'a');
        if (word == name)
            return outcome;
    }
    throw ResultError(fmt::format("it has no verdict that is known here: \"{}\"", name));
}

judge::Verdict verdict_of(const std::string &name) {
    using judge::Verdict;
    for (const Verdict verdict : {Verdict::passed, Verdict::failed, Verdict::inconclusive, Verdict::skipped})
        if (name == verdict_name(verdict))
            return verdict;
    throw ResultError(fmt::format("a gate has no verdict that is known here: \"{}\"", name));
}

judge::Ledger ledger_of(const json &from) {
    judge::Ledger l;
    for (const auto &[name, column] : {std::pair("attempt_count", &l.attempted),
                                       std::pair("acknowledged_count", &l.acknowledged),
                                       std::pair("unknown_count", &l.unknown),
                                       std::pair("ok_count", &l.completed),
                                       std::pair("lost_count", &l.lost),
                                       std::pair("duplicated_count", &l.duplicated),
                                       std::pair("unexpected_count", &l.unexpected),
                                       std::pair("failed_count", &l.failed),
                                       std::pair("recovered_count", &l.recovered),
                                       std::pair("vanished_count", &l.vanished),
                                       std::pair("foreign_count", &l.foreign),
                                       std::pair("stuck_count", &l.stuck),
                                       std::pair("unfinished_count", &l.unfinished),
                                       std::pair("outbox_count", &l.outbox),
                                       std::pair("dead_letter_count", &l.dead),
                                       std::pair("reexecuted_count", &l.executed_again),
                                       std::pair("early_count", &l.early),
                                       std::pair("out_of_order_count", &l.out_of_order),
                                       std::pair("leak_count", &l.leaks),
                                       std::pair("cap_violations", &l.cap_violations),
                                       std::pair("key_violations", &l.key_violations),
                                       std::pair("lease_overlaps", &l.lease_overlaps)})
        take(from, name, *column);
    take(from, "first_bad", l.first_bad);
    return l;
}

GateLine gate_of(const json &from) {
    GateLine gate;
    take(from, "id", gate.id);
    take(from, "title", gate.title);
    take(from, "metric", gate.metric);
    take(from, "class", gate.gate_class);
    take(from, "expr", gate.expression);
    take(from, "limit", gate.limit);
    take(from, "level", gate.level);
    take(from, "value", gate.value);
    take(from, "samples", gate.samples);
    take(from, "min_samples", gate.min_samples);
    take(from, "note", gate.note);
    take(from, "hint", gate.hint);
    gate.verdict = verdict_of(from.at("verdict").get<std::string>());
    const json &selectors = member(from, "selector");
    if (selectors.is_object())
        gate.selectors.push_back(selectors.get<measure::Tags>());
    else
        for (const json &tags : selectors)
            gate.selectors.push_back(tags.get<measure::Tags>());
    return gate;
}

MetricLine metric_of(const json &from) {
    MetricLine line;
    take(from, "name", line.name);
    take(from, "phase", line.phase);
    take(from, "actor", line.actor);
    take(from, "type", line.type);
    take(from, "class", line.gate_class);
    take(from, "better", line.better);
    take(from, "spectrum", line.spectrum);
    take(from, "intervals", line.intervals);
    const json &values = from.at("values");
    take(values, "value", line.value);
    take(values, "samples", line.samples);
    take(values, "count", line.samples);
    take(values, "avg", line.average);
    for (const char *name : {"min", "p50", "p90", "p95", "p99", "p99.9", "max"})
        if (values.contains(name))
            take(values, name, line.quantiles[name]);
    return line;
}

void read_stuck(const json &from, PhaseSummary &phase) {
    if (!from.is_object())
        return;
    phase.stuck.emplace();
    take(from, "why", phase.stuck->why);
    take(from, "counts", phase.stuck->counts);
    take(from, "oldest_locked", phase.stuck->oldest_locked);
    take(from, "last_ticks", phase.stuck->last_ticks);
    take(from, "worker_errors", phase.stuck->worker_errors);
}

void read_events(const json &from, PhaseSummary &phase) {
    for (const json &entry : member(from, "faults")) {
        FaultLine &fault = phase.faults.emplace_back();
        take(entry, "name", fault.name);
        take(entry, "from_seconds", fault.from);
        take(entry, "to_seconds", fault.to);
        take(entry, "fired", fault.fired);
    }
    for (const json &entry : member(from, "errors")) {
        ErrorLine &error = phase.errors.emplace_back();
        take(entry, "sqlstate", error.sqlstate);
        take(entry, "actor", error.actor);
        take(entry, "count", error.count);
        take(entry, "expected", error.expected);
        take(entry, "example", error.example);
    }
}

void read_cost(const json &from, CostLine &cost) {
    take(from, "jobs", cost.jobs);
    take(from, "known", cost.known);
    take(from, "wal_bytes", cost.wal_bytes);
    take(from, "buffers", cost.buffers);
    take(from, "commits", cost.commits);
    take(from, "round_trips", cost.round_trips);
}

PhaseSummary phase_of(const json &from) {
    PhaseSummary phase;
    take(from, "name", phase.name);
    take(from, "end", phase.end);
    take(from, "started_at", phase.started_at);
    take(from, "wall_seconds", phase.wall_seconds);
    take(from, "goes_on", phase.goes_on);
    take(from, "drain_seconds", phase.drain_seconds);
    take(from, "drained_jobs", phase.drained_jobs);
    take(from, "ticks", phase.ticks);
    take(from, "tick_jobs", phase.tick_jobs);
    take(from, "samples", phase.queue_samples);
    take(from, "missed_samples", phase.missed_samples);
    take(from, "system_samples", phase.system_samples);
    take(from, "system_missed", phase.system_missed);
    take(from, "sees_server", phase.sees_server);
    take(from, "duplicate_keys_of_anybody", phase.duplicate_keys_of_anybody);
    phase.ledger = ledger_of(member(from, "ledger"));
    take(from, "tenant_jobs", phase.ledger.tenant_jobs);
    take(from, "tenant_completed", phase.ledger.tenant_completed);
    take(from, "notes", phase.notes);
    read_stuck(member(from, "stuck"), phase);
    read_events(from, phase);
    read_cost(member(from, "cost"), phase.cost);
    return phase;
}

PhaseSummary &phase_named(Summary &summary, const json &entry) {
    const std::string name = entry.at("phase").get<std::string>();
    for (PhaseSummary &phase : summary.phases)
        if (phase.name == name)
            return phase;
    throw ResultError(fmt::format("it has points of a phase that it does not list: {}", name));
}

QueuePoint queue_point(const json &from) {
    QueuePoint point;
    take(from, "at_seconds", point.at);
    take(from, "queued", point.queued);
    take(from, "locked", point.locked);
    take(from, "completed", point.completed);
    take(from, "completed_per_second", point.rate);
    take(from, "oldest_queued_seconds", point.oldest);
    take(from, "poll_ms", point.poll_ms);
    return point;
}

SystemPoint system_point(const json &from) {
    SystemPoint p;
    for (const auto &[name, value] :
         {std::pair("at_seconds", &p.at), std::pair("server_cpu", &p.server_cpu),
          std::pair("driver_cpu", &p.driver_cpu), std::pair("workers_cpu", &p.workers_cpu),
          std::pair("server_memory_bytes", &p.server_memory),
          std::pair("driver_memory_bytes", &p.driver_memory),
          std::pair("workers_memory_bytes", &p.workers_memory),
          std::pair("server_descriptors", &p.server_descriptors),
          std::pair("driver_descriptors", &p.driver_descriptors),
          std::pair("wal_bytes_per_second", &p.wal_rate), std::pair("commits_per_second", &p.commit_rate),
          std::pair("locks_waited_for", &p.locks), std::pair("dead_rows", &p.dead_rows),
          std::pair("database_bytes", &p.database_size), std::pair("horizon_age", &p.horizon),
          std::pair("notification_queue", &p.notifications), std::pair("connections", &p.connections)})
        take(from, name, *value);
    take(from, "waits", p.waits);
    return p;
}

void read_series(Summary &summary, const json &document) {
    for (const json &entry : member(document, "series"))
        phase_named(summary, entry).queue.push_back(queue_point(entry));
    for (const json &entry : member(document, "system"))
        phase_named(summary, entry).system.push_back(system_point(entry));
    for (const json &entry : member(document, "latency")) {
        LatencySeries &series = phase_named(summary, entry).latency.emplace_back();
        take(entry, "metric", series.metric);
        take(entry, "actor", series.actor);
        take(entry, "step_seconds", series.step);
        for (const json &point : member(entry, "points"))
            series.points.push_back({point.at(0).get<double>(), point.at(1).get<long long>(),
                                     point.at(2).get<double>(), point.at(3).get<double>(),
                                     point.at(4).get<double>(), point.at(5).get<double>()});
    }
}

void read_metadata(Summary &summary, const json &from) {
    take(from, "run_id", summary.run_id);
    take(from, "plan", summary.plan);
    take(from, "description", summary.description);
    take(from, "profile", summary.profile);
    take(from, "seed", summary.seed);
    take(from, "generated_at", summary.generated_at);
    take(from, "again", summary.again);
    take(from, "wall_seconds", summary.wall_seconds);
    take(from, "reconnects", summary.reconnects);
    take(from, "throwaway_cluster", summary.throwaway);
    take(from, "interrupted", summary.interrupted);
    take(from, "notes", summary.notes);
    take(from, "extension", summary.extension);
    take(from, "schema", summary.schema);
    take(from, "place", summary.place);
    take(from, "pg_cron", summary.cron);
    take(member(from, "server"), "version", summary.server);
    take(member(from, "server"), "settings", summary.settings);
    take(member(from, "host"), "cpus", summary.cpus);
}

Summary summary_of(const json &document) {
    const std::string version = document.at("version").get<std::string>();
    if (version.compare(0, 2, std::string(kSchemaVersion), 0, 2) != 0)
        throw ResultError(
            fmt::format("it has schema version {}, and this fairq reads {}", version, kSchemaVersion));
    if (document.contains("error"))
        throw ResultError(fmt::format("the run never started: {}", document["error"].get<std::string>()));
    Summary summary;
    take(document, "complete", summary.complete);
    summary.outcome = outcome_of(document.at("verdict").get<std::string>());
    read_metadata(summary, document.at("metadata"));
    summary.config = member(document, "config").dump();
    summary.ledger = ledger_of(document.at("ledger"));
    for (const json &entry : document.at("thresholds"))
        summary.gates.push_back(gate_of(entry));
    for (const json &entry : document.at("metrics"))
        summary.metrics.push_back(metric_of(entry));
    for (const json &entry : document.at("phases"))
        summary.phases.push_back(phase_of(entry));
    read_series(summary, document);
    std::vector<judge::GateResult> results;
    for (const GateLine &gate : summary.gates)
        results.emplace_back().verdict = gate.verdict;
    summary.tally = judge::tally(results);
    return summary;
}

} // namespace

Summary read_json(const std::string &text) {
    try {
        return summary_of(json::parse(text));
    } catch (const json::exception &error) {
        throw ResultError(fmt::format("it is no result of fairq run: {}", error.what()));
    }
}

} // namespace fairq::driver::report
