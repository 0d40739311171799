// metrics.cpp: the catalogue of metrics and the store of samples. What a metric means for the verdict (its
// gate class) is said here once, so that a plan cannot soften it.
#include "measure/metrics.hpp"

#include <algorithm>
#include <cmath>

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

void Samples::add(std::string_view metric, const std::string &phase, double value, std::size_t samples) {
    if (std::find(phases_.begin(), phases_.end(), phase) == phases_.end())
        phases_.push_back(phase);
    Series &series = series_[{std::string(metric), phase}];
    series.phase = phase;
    series.values.push_back(value);
    series.samples += samples;
}

std::vector<Series> Samples::by_phase(std::string_view metric, std::string_view phase) const {
    std::vector<Series> found;
    for (const std::string &name : phases_) {
        const auto series = series_.find({std::string(metric), name});
        if (series != series_.end() && (phase.empty() || phase == name))
            found.push_back(series->second);
    }
    return found;
}

Series Samples::select(std::string_view metric, std::string_view phase) const {
    Series selected;
    for (const Series &series : by_phase(metric, phase)) {
        selected.values.insert(selected.values.end(), series.values.begin(), series.values.end());
        selected.samples += series.samples;
    }
    return selected;
}

double percentile(std::vector<double> values, double p) {
    std::sort(values.begin(), values.end());
    const double rank = std::ceil(p / 100.0 * static_cast<double>(values.size()));
    const std::size_t index = rank < 1 ? 0 : static_cast<std::size_t>(rank) - 1;
    return values[std::min(index, values.size() - 1)];
}

} // namespace fairq::driver::measure
