// metrics.cpp: the catalogue of metrics and the store of samples. What a metric means for the verdict (its
// gate class) is said here once, so that a plan cannot soften it.
#include "measure/metrics.hpp"

#include <algorithm>
#include <numeric>
#include <set>

namespace fairq::driver::measure {

const std::vector<MetricInfo> &known_metrics() {
    using T = MetricType;
    using C = GateClass;
    static const std::vector<MetricInfo> metrics{
        {"lost", T::counter, C::invariant, "acknowledged jobs that are gone"},
        {"duplicated", T::counter, C::invariant, "jobs that are there twice or sent twice"},
        {"unexpected", T::counter, C::invariant, "jobs that nobody enqueued"},
        {"stuck", T::counter, C::invariant, "unfinished jobs while nothing moves any more"},
        {"outbox", T::counter, C::invariant, "jobs without message, messages without job"},
        {"early", T::counter, C::invariant, "jobs that were claimed before their time"},
        {"out_of_order", T::counter, C::invariant, "claimed before the stage before had ended"},
        {"leaks", T::counter, C::invariant, "leases, sessions, counts that were left"},
        {"cap_violations", T::counter, C::invariant, "commits that brought a tenant above its cap"},
        {"key_violations", T::counter, C::invariant, "commits with two locked jobs of a key"},
        {"lease_overlaps", T::counter, C::invariant, "jobs that were locked while they were locked"},
        {"dead_letters", T::counter, C::invariant, "jobs that ended dead or cancelled"},
        {"outbox_duplicates", T::counter, C::invariant, "idempotency keys with more than one message"},
        {"reported_duplicates", T::counter, C::invariant, "duplicate_count of get_load_test_metrics()"},
        {"tick_tenant_claimed", T::trend, C::invariant, "jobs of one tenant claimed in one tick"},
        {"tenant_completed_ratio", T::trend, C::invariant, "a tenant's completed jobs / its jobs"},
        {"drain_seconds", T::gauge, C::threshold, "first claim to last completion, server clock"},
        {"drain_jobs_per_second", T::gauge, C::threshold, "completed jobs / drain_seconds"},
        {"oldest_queued_seconds", T::trend, C::threshold, "age of the oldest queued job, sampled"},
        {"poll_ms", T::trend, C::threshold, "round trip of get_load_test_metrics()"},
        {"enqueue_call_ms", T::trend, C::threshold, "round trip of an enqueue call"},
        {"schedule_lag_ms", T::trend, C::threshold, "how late an enqueue was sent"},
        {"tick_ms", T::trend, C::threshold, "duration of a tick that claimed something"},
        {"tick_jobs", T::trend, C::threshold, "jobs claimed in a tick"},
        {"ticks", T::counter, C::threshold, "ticks that claimed something"},
        {"unfinished", T::counter, C::validity, "jobs that were still moving at the end"},
        {"claim_ms", T::trend, C::threshold, "round trip of a claim"},
        {"pickup_ms", T::trend, C::threshold, "from when a job may run to its first claim"},
        {"complete_ms", T::trend, C::threshold, "round trip of a completion"},
        {"claims", T::counter, C::threshold, "claims of external workers"},
        {"empty_claims", T::counter, C::threshold, "claims that found nothing"},
        {"failed_attempts", T::counter, C::threshold, "attempts that failed as planned"},
        {"stale_completions", T::counter, C::threshold, "completions that were refused"},
        {"worker_errors", T::counter, C::threshold, "errors that external workers met"},
        {"key_overlaps", T::counter, C::invariant, "jobs that ran beside another of their key"},
        {"keyed_jobs", T::counter, C::threshold, "claimed jobs with a concurrency key"},
        {"tenant_running_max", T::gauge, C::invariant, "jobs of one tenant that ran at once"},
        {"worker_share", T::gauge, C::threshold, "most jobs of a worker / fewest"},
        {"executed_again", T::counter, C::threshold, "attempts beyond the first of each job"},
        {"call_ms", T::trend, C::threshold, "a call, from when it was planned"},
        {"call_service_ms", T::trend, C::threshold, "a call, from when it was sent"},
        {"call_lag_ms", T::trend, C::threshold, "how late a call was sent"},
        {"calls", T::counter, C::threshold, "calls that were made"},
        {"calls_failed", T::counter, C::threshold, "calls that failed"},
        {"calls_failed_ratio", T::gauge, C::threshold, "calls that failed / calls"},
        {"calls_refused", T::counter, C::threshold, "calls with an expected refusal"},
        {"calls_dropped", T::counter, C::threshold, "planned calls that were never made"},
        {"reconnects", T::counter, C::threshold, "connections that were opened again"},
        {"recovery_ms", T::trend, C::threshold, "a worker's death to its job's next claim"},
        {"worker_deaths", T::counter, C::threshold, "worker processes that ended, and came again"},
        {"round_trips", T::counter, C::threshold, "statements of workers and senders"},
        {"round_trips_per_job", T::gauge, C::threshold, "round_trips / completed jobs"},
        {"wal_bytes_per_job", T::gauge, C::threshold, "WAL of the server / completed jobs"},
        {"buffers_per_job", T::gauge, C::threshold, "buffers hit or read / completed jobs"},
        {"commits_per_job", T::gauge, C::threshold, "commits of the database / completed jobs"},
        {"server_cpu", T::trend, C::threshold, "cores that the server used, sampled"},
        {"server_memory_mb", T::trend, C::threshold, "memory of the server, without what it shares"},
        {"driver_memory_mb", T::trend, C::threshold, "memory of the driver"},
        {"locks_waited_for", T::trend, C::threshold, "locks that sessions waited for, sampled"},
        {"dead_rows", T::trend, C::threshold, "dead rows of the queue's tables, sampled"},
        {"horizon_age", T::trend, C::threshold, "transactions that no vacuum may look behind"},
        {"connections", T::trend, C::threshold, "sessions of the server, sampled"},
        {"faults_fired", T::counter, C::threshold, "faults that happened"},
        {"faults_fired_ratio", T::gauge, C::validity, "faults that happened / planned"},
        {"held_ratio", T::gauge, C::validity, "holders that held to the end / holders"},
        {"phases_complete_ratio", T::gauge, C::validity, "phases that came to their end / planned"},
        {"foreign", T::counter, C::validity, "load_test jobs of somebody else"},
        {"offered_ratio", T::gauge, C::validity, "jobs sent in time / jobs planned"},
    };
    return metrics;
}

const MetricInfo *find_metric(std::string_view name) {
    const auto &metrics = known_metrics();
    const auto found =
        std::find_if(metrics.begin(), metrics.end(), [&](const MetricInfo &m) { return m.name == name; });
    return found == metrics.end() ? nullptr : &*found;
}

/// Most names say it; of what only counts what the plan made happen, more is neither better nor worse.
Better better(const MetricInfo &metric) {
    const auto ends = [&](std::string_view end) {
        return metric.name.size() >= end.size() && metric.name.substr(metric.name.size() - end.size()) == end;
    };
    static const std::set<std::string_view> kLower{
        "calls_failed", "calls_failed_ratio", "calls_dropped",    "stale_completions", "worker_errors",
        "worker_share", "executed_again",     "locks_waited_for", "dead_rows",         "horizon_age",
        "empty_claims", "unfinished",         "foreign",          "reconnects",        "server_cpu"};
    static const std::set<std::string_view> kNeither{"tick_tenant_claimed", "tenant_running_max"};
    if (ends("_per_second") || metric.name == "tenant_completed_ratio" || metric.name == "offered_ratio" ||
        metric.name == "held_ratio" || metric.name == "faults_fired_ratio" ||
        metric.name == "phases_complete_ratio")
        return Better::higher;
    if (kNeither.count(metric.name) != 0)
        return Better::neither;
    if (metric.gate_class == GateClass::invariant || kLower.count(metric.name) != 0 || ends("_ms") ||
        ends("_seconds") || ends("_per_job") || ends("_mb"))
        return Better::lower;
    return Better::neither;
}

double Series::sum() const {
    return std::accumulate(values.begin(), values.end(), 0.0);
}

double Series::average() const {
    return times.empty() ? sum() / static_cast<double>(values.size()) : times.mean() / 1000;
}

double Series::percentile(double p) const {
    return times.empty() ? measure::percentile(values, p) : static_cast<double>(times.percentile(p)) / 1000;
}

Series &Samples::place(std::string_view metric, const std::string &phase, const std::string &actor) {
    for (Series &series : series_)
        if (series.metric == metric && series.phase == phase && series.actor == actor)
            return series;
    Series &added = series_.emplace_back();
    added.metric = metric;
    added.phase = phase;
    added.actor = actor;
    return added;
}

void Samples::add(std::string_view metric, const std::string &phase, double value, std::size_t samples,
                  const std::string &actor) {
    Series &series = place(metric, phase, actor);
    series.values.push_back(value);
    series.samples += samples;
}

void Samples::add(std::string_view metric, const std::string &phase, const std::string &actor,
                  const Histogram &times, const std::vector<Slice> &slices) {
    Series &series = place(metric, phase, actor);
    series.times.add(times);
    series.slices.insert(series.slices.end(), slices.begin(), slices.end());
    series.samples = static_cast<std::size_t>(series.times.count());
}

void Samples::add_at(std::string_view metric, const std::string &phase, double moment, double value) {
    add(metric, phase, value);
    place(metric, phase, "").moments.push_back(moment);
}

void Samples::tag(const std::string &phase, const std::string &actor, const Tags &tags) {
    tags_[{phase, actor}] = tags;
}

std::vector<Series> Samples::series(std::string_view metric, std::string_view phase, std::string_view actor,
                                    const Tags &tags) const {
    std::vector<Series> found;
    for (const Series &series : series_) {
        if (series.metric != metric || series.empty() || (!phase.empty() && phase != series.phase) ||
            (!actor.empty() && actor != series.actor))
            continue;
        const auto own = tags_.find({series.phase, series.actor});
        const Tags has = own == tags_.end() ? Tags{} : own->second;
        if (!std::includes(has.begin(), has.end(), tags.begin(), tags.end()))
            continue;
        found.push_back(series);
        found.back().tags = has;
        if (const auto lasted = seconds_.find(series.phase); lasted != seconds_.end())
            found.back().seconds = lasted->second;
    }
    return found;
}

Series Samples::sum(std::string_view metric, std::string_view phase, std::string_view actor,
                    const Tags &tags) const {
    Series all;
    all.metric = metric;
    std::map<std::string, double> seconds; // actors of one phase act at the same time
    for (const Series &series : this->series(metric, phase, actor, tags)) {
        all.values.insert(all.values.end(), series.values.begin(), series.values.end());
        all.samples += series.samples;
        seconds[series.phase] = series.seconds;
    }
    for (const auto &[name, lasted] : seconds)
        all.seconds += lasted;
    return all;
}

} // namespace fairq::driver::measure
