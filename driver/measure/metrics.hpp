// metrics.hpp: the names that a gate may use, and the measured values behind them, by phase. A
// gate on a name that is not listed here is refused before the run; a name without values makes
// its gate inconclusive, never passed.
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

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

const std::vector<MetricInfo> &known_metrics();
const MetricInfo *find_metric(std::string_view name);

/// Values of one metric. `samples` is how many things were looked at, which for a counter is not the number
/// of values.
struct Series {
    std::string phase; ///< empty: of several
    std::vector<double> values;
    std::size_t samples = 0;
};

class Samples {
public:
    void add(std::string_view metric, const std::string &phase, double value, std::size_t samples = 1);

    /// The values of a phase, or of all phases in turn when `phase` is empty.
    Series select(std::string_view metric, std::string_view phase) const;

    /// The same, each phase by itself; those that have no values are left out.
    std::vector<Series> by_phase(std::string_view metric, std::string_view phase) const;

private:
    std::vector<std::string> phases_;
    std::map<std::pair<std::string, std::string>, Series> series_;
};

/// The p-th percentile (nearest rank) of values in any order; they must not be empty.
double percentile(std::vector<double> values, double p);

} // namespace fairq::driver::measure
