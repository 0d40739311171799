// gates.hpp: gates as text (k6's grammar: metric{tag:value} and max<180) and their judgement over samples.
// Pure. Three verdicts: a gate without enough samples is inconclusive, and that is not a pass.
#pragma once

#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "measure/metrics.hpp"

namespace fairq::driver::judge {

struct GateError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

enum class Aggregation { value, count, avg, min, max, med, percentile };
enum class Comparison { less, less_equal, greater, greater_equal, equal, not_equal };

struct MetricRef {
    std::string metric;
    std::string phase; ///< empty: all phases
    std::string actor; ///< empty: all actors
};

struct Gate {
    std::string id;    ///< what people call it: LOAD1
    std::string title; ///< what it says, for the report
    std::string metric_text;
    std::string expression;
    std::vector<MetricRef> operands; ///< one, or the two of ratio(a, b)
    Aggregation aggregation = Aggregation::value;
    double percentile = 0;
    Comparison comparison = Comparison::less;
    double limit = 0;
    std::size_t min_samples = 1;
    measure::GateClass gate_class = measure::GateClass::threshold;
};

/// Reads a gate; `min_samples` 0 means the default floor. Throws GateError.
Gate parse_gate(std::string_view metric, std::string_view expression, std::size_t min_samples = 0);

enum class Verdict { passed, failed, inconclusive, skipped };

struct GateResult {
    Gate gate;
    Verdict verdict = Verdict::inconclusive;
    std::optional<double> value;
    std::size_t samples = 0;
    std::string note; ///< why it is inconclusive
};

GateResult judge(const Gate &gate, const measure::Samples &samples);

/// The gates of every run: all that was acknowledged is completed, exactly once. A column each, so that one
/// defect turns one gate red. A plan that has a gate of its own on one of them says otherwise.
std::vector<Gate> ledger_gates();

/// The gate of every phase that sends at a rate: the driver itself must have kept up.
Gate offered_gate(const std::string &phase);

} // namespace fairq::driver::judge
