// summary.hpp: what is shown of a run, as plain data. summarize() decides it in one place; every format (text, JSON,
// HTML, JUnit, CSV, TAP, Markdown) is made from it and from nothing else, so that a stored JSON result gives the same
// report again. Times are seconds, latencies milliseconds, sizes bytes, unless a name says otherwise.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/result.hpp"

namespace fairq::driver::report {

struct GateLine {
    std::string id, title, metric, expression;
    std::vector<measure::Tags> selectors; ///< of each operand: phase, actor, and tags of the plan
    std::string gate_class;               ///< invariant, threshold, validity
    std::string level;                    ///< target, acceptable, …; empty: it has no levels
    judge::Verdict verdict = judge::Verdict::inconclusive;
    std::optional<double> value;
    std::optional<double> limit; ///< in force; none: it was not judged
    long long samples = 0, min_samples = 0;
    std::string note; ///< why it is inconclusive
    std::string hint; ///< of one that does not hold: where to look first
};

/// Values of one metric in one phase. A trend has percentiles, everything else one value.
struct MetricLine {
    std::string name, phase, actor, type;
    std::string better; ///< lower, higher, or neither
    std::string gate_class;
    long long samples = 0;
    double value = 0;                        ///< of counters and gauges
    double average = 0;                      ///< of trends, and what follows
    std::map<std::string, double> quantiles; ///< min p50 p90 p95 p99 p99.9 max

    /// Within which a repetition of the run would be expected to find "value", "p50", "p95", "p99": from how the
    /// values were spread over the phase, and from how many there are.
    std::map<std::string, std::pair<double, double>> intervals;
    std::vector<std::pair<double, double>> spectrum; ///< of times: percentile, milliseconds
};

/// Times of one metric in one slice of a phase.
struct LatencyPoint {
    double at = 0;
    long long count = 0;
    double p50 = 0, p95 = 0, p99 = 0, max = 0;
};

struct LatencySeries {
    std::string metric, actor;
    double step = 1;
    std::vector<LatencyPoint> points; ///< slices in which something happened
};

struct QueuePoint {
    double at = 0;
    long long queued = 0, locked = 0, completed = 0;
    std::optional<double> oldest;
    double poll_ms = 0;
    double rate = 0; ///< completed a second, since the point before
};

struct SystemPoint {
    double at = 0;
    double server_cpu = 0, driver_cpu = 0, workers_cpu = 0; ///< cores, since the point before
    double server_memory = 0, driver_memory = 0, workers_memory = 0;
    double server_descriptors = 0, driver_descriptors = 0;
    double wal_rate = 0, commit_rate = 0; ///< a second
    double locks = 0, dead_rows = 0, database_size = 0, horizon = 0, notifications = 0, connections = 0;
    std::map<std::string, double> waits; ///< sessions
};

struct FaultLine {
    std::string name;
    double from = 0, to = 0;
    bool fired = false;
};

struct ErrorLine {
    std::string sqlstate, actor, example;
    long long count = 0;
    bool expected = false;
};

struct CostLine {
    long long jobs = 0;
    bool known = false;                                              ///< the server's part
    double wal_bytes = 0, buffers = 0, commits = 0, round_trips = 0; ///< over all jobs
};

struct PhaseSummary {
    std::string name, end, started_at;
    double wall_seconds = 0;
    bool goes_on = false;
    std::optional<double> drain_seconds;
    long long drained_jobs = 0;
    long long ticks = 0, tick_jobs = 0;
    long long queue_samples = 0, missed_samples = 0, duplicate_keys_of_anybody = 0;
    long long system_samples = 0, system_missed = 0;
    bool sees_server = false;
    judge::Ledger ledger;
    std::vector<QueuePoint> queue;
    std::vector<SystemPoint> system;
    std::vector<LatencySeries> latency;
    std::vector<FaultLine> faults;
    std::vector<ErrorLine> errors;
    CostLine cost;
    std::optional<db::StuckReport> stuck;
    std::vector<std::string> notes;
};

struct Summary {
    bool complete = false, interrupted = false;
    judge::Outcome outcome = judge::Outcome::inconclusive;
    judge::Tally tally;

    std::string run_id, plan, description, profile, generated_at, again, place;
    std::uint64_t seed = 0;
    double wall_seconds = 0;
    int reconnects = 0;
    bool throwaway = false;
    std::string extension, schema, cron, server;
    std::map<std::string, std::string> settings;
    unsigned cpus = 0;
    std::vector<std::string> notes;
    std::string config; ///< the resolved plan, as JSON

    judge::Ledger ledger;
    std::vector<GateLine> gates; ///< in the order of the plan
    std::vector<MetricLine> metrics;
    std::vector<PhaseSummary> phases;
};

Summary summarize(const engine::RunResult &run);

/// Of a run that could not begin: one gate, which says why.
Summary never_started(judge::Outcome outcome, const std::string &message, const std::string &plan);

/// A phase has at most so many points of each kind; more are thinned out, and the highest of neighbours stay.
constexpr std::size_t kMostPoints = 600;

/// The gates as people want to read them: what failed, what is open, what was skipped, what passed.
std::vector<const GateLine *> worst_first(const Summary &summary);

/// "phase" or "actor" of the gate's first operand; empty: any.
std::string selected(const GateLine &gate, const std::string &tag);

/// "lost", its number …: the columns of a ledger that have to be 0.
std::vector<std::pair<std::string, long long>> zero_columns(const judge::Ledger &ledger);

/// The other columns, those that are 0 and unusual left out.
std::vector<std::pair<std::string, long long>> count_columns(const judge::Ledger &ledger);

/// Jobs and completed jobs of each tenant, summed over the phases that count.
std::map<std::string, std::pair<long long, long long>> tenants_of(const Summary &summary);

/// The highest of what was sampled, over all phases.
struct Peaks {
    double cpu = 0, average_cpu = 0, memory = 0, driver_memory = 0; ///< cores, bytes
    double connections = 0, locks = 0, dead_rows = 0, database_size = 0;
    std::size_t points = 0;
    bool sees_server = false;
};

Peaks peaks_of(const Summary &summary);

/// What sessions did, and the share of their time: most first.
std::vector<std::pair<std::string, double>> waits_of(const Summary &summary);

/// "1.4 MB"
std::string format_bytes(double bytes);

/// At most three digits behind the point, and no more than the number deserves: 0.053, 12.4, 1,204.
std::string format_short(double number);

/// " ms", " s", "" …: what a metric's values are.
std::string unit_of(const std::string &metric);

const char *verdict_name(judge::Verdict verdict); ///< pass, fail, inconclusive, skipped

/// One sentence on where to look for the cause of a gate that does not hold; empty when nothing points anywhere.
std::string cause_hint(const GateLine &gate, const Summary &summary);

} // namespace fairq::driver::report
