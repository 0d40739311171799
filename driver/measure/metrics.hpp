// metrics.hpp: the names that a gate may use, and the measured values behind them, by phase. A
// gate on a name that is not listed here is refused before the run; a name without values makes
// its gate inconclusive, never passed.
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "measure/histogram.hpp"
#include "measure/percentile.hpp"

namespace fairq::driver::measure {

enum class MetricType { counter, gauge, trend };

/// What a gate that does not hold says: the queue is wrong, a limit was missed, or the run proves nothing.
enum class GateClass { invariant, threshold, validity };

struct MetricInfo {
    std::string_view name;
    MetricType type;
    GateClass gate_class;
    std::string_view meaning;
};

/// Which way a metric gets better, for who compares two runs.
enum class Better { lower, higher, neither };

const std::vector<MetricInfo> &known_metrics();
Better better(const MetricInfo &metric);
const MetricInfo *find_metric(std::string_view name);

using Tags = std::map<std::string, std::string>;

/// Times that ended between two moments of a phase, in seconds since it began.
struct Slice {
    double from = 0, to = 0;
    Histogram times;
};

/// Values of one metric. `samples` is how many things were looked at, which for a counter is not the number
/// of values.
struct Series {
    std::string metric, phase, actor;
    Tags tags; ///< of the actor, as the plan gives them
    std::vector<double> values;
    std::vector<double> moments; ///< when each value was, in seconds since its phase began; empty: not known
    Histogram times;             ///< in microseconds; of what is measured too often to keep each value
    std::vector<Slice> slices;   ///< the same times, by when they ended
    std::size_t samples = 0;
    double seconds = 0; ///< how long its phases lasted

    bool empty() const { return values.empty() && times.empty(); }
    std::size_t count() const { return values.size() + static_cast<std::size_t>(times.count()); }
    double sum() const;
    double average() const;
    double percentile(double p) const; ///< of times in milliseconds
};

class Samples {
public:
    void add(std::string_view metric, const std::string &phase, double value, std::size_t samples = 1,
             const std::string &actor = "");
    void add(std::string_view metric, const std::string &phase, const std::string &actor,
             const Histogram &times, const std::vector<Slice> &slices = {});

    /// A value of that moment, in seconds since the phase began: a metric has all its moments or none.
    void add_at(std::string_view metric, const std::string &phase, double moment, double value);

    /// How long a phase lasted, for what is counted by the second.
    void lasted(const std::string &phase, double seconds) { seconds_[phase] = seconds; }

    void tag(const std::string &phase, const std::string &actor, const Tags &tags);

    /// Every series with values that fits; an empty phase or actor means any, and so do tags without a value
    /// here.
    std::vector<Series> series(std::string_view metric, std::string_view phase = {},
                               std::string_view actor = {}, const Tags &tags = {}) const;

    /// For counters: the values of all of these.
    Series sum(std::string_view metric, std::string_view phase = {}, std::string_view actor = {},
               const Tags &tags = {}) const;

private:
    Series &place(std::string_view metric, const std::string &phase, const std::string &actor);

    std::vector<Series> series_; ///< in the order of their first values
    std::map<std::string, double> seconds_;
    std::map<std::pair<std::string, std::string>, Tags> tags_; ///< by phase and actor
};

} // namespace fairq::driver::measure
