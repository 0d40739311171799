// gates.hpp: gates as text (k6's grammar: metric{tag:value} and max<180) and their judgement over samples.
// Pure. Three verdicts: a gate without enough samples is inconclusive, and that is not a pass.
#pragma once

#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "measure/metrics.hpp"
#include "units.hpp"

namespace fairq::driver::judge {

struct GateError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

enum class Aggregation { value, count, rate, avg, min, max, med, percentile };
enum class Comparison { less, less_equal, greater, greater_equal, equal, not_equal };
enum class Shape { plain, ratio, slope };

struct MetricRef {
    std::string metric;
    std::string phase;  ///< empty: all phases
    std::string actor;  ///< empty: all actors
    measure::Tags tags; ///< those of its actor that the plan gives it
};

/// p(95)<500, or p(95)<=1.1*baseline
struct Expectation {
    std::string text;
    Aggregation aggregation = Aggregation::value;
    double percentile = 0;
    Comparison comparison = Comparison::less;
    double limit = 0;
    bool of_baseline = false; ///< the limit is a factor of what an earlier run had
    double per_seconds = 0;   ///< of a slope: its limit counts in this time
};

struct Gate {
    std::string id;    ///< what people call it: LOAD1
    std::string title; ///< what it says, for the report
    std::string metric_text;
    std::string expression;
    Shape shape = Shape::plain;
    std::vector<MetricRef> operands; ///< one, or the two of ratio(a, b)
    Expectation expected;            ///< what is acceptable: decides between passed and failed
    std::optional<Expectation> target, critical;
    std::optional<Milliseconds> window; ///< every stretch of a phase that is so long has to hold
    bool abort_on_fail = false;         ///< ends the run as soon as it does not hold
    Milliseconds delay_abort{0};        ///< but not before its phase is so old
    std::size_t min_samples = 1;
    measure::GateClass gate_class = measure::GateClass::threshold;
};

/// Reads a gate; `min_samples` 0 means the default floor. Throws GateError.
Gate parse_gate(std::string_view metric, std::string_view expression, std::size_t min_samples = 0);

/// What a gate may say beyond what is acceptable; empty: nothing. Throws GateError when the levels do not lie
/// one behind the other.
void set_levels(Gate &gate, std::string_view target, std::string_view critical);

/// Throws GateError for a gate that cannot be cut into stretches.
void set_window(Gate &gate, Milliseconds window);

enum class Verdict { passed, failed, inconclusive, skipped };

/// How well a gate with levels held. `none`: it has none.
enum class Level { none, target, acceptable, missed, critical };

std::string level_word(Level level);

struct GateResult {
    Gate gate;
    Verdict verdict = Verdict::inconclusive;
    Level level = Level::none;
    std::optional<double> value;
    std::optional<double> limit; ///< in force: a factor of the baseline is multiplied
    std::size_t samples = 0;
    std::string note; ///< why it is inconclusive
};

/// What the gates of an earlier run had, by baseline_key().
using Baseline = std::map<std::string, double>;

/// Metric and aggregation: call_ms{phase:load} p(95)
std::string baseline_key(const std::string &metric, const std::string &expression);

/// Without a baseline, a gate that compares with one is skipped.
GateResult judge(const Gate &gate, const measure::Samples &samples, const Baseline *baseline = nullptr);

/// What the history of commits shows.
inline constexpr const char *kHistoryMetrics[] = {"cap_violations", "key_violations", "lease_overlaps"};

/// The gates of every run: all that was acknowledged is completed, exactly once. A column each, so that one
/// defect turns one gate red. A plan that has a gate of its own on one of them says otherwise.
std::vector<Gate> ledger_gates();

/// The gate of every phase that sends at a rate: the driver itself must have kept up.
Gate offered_gate(const std::string &phase);

/// For every threshold of these that has a direction: no worse than the baseline by more than `part` of it.
std::vector<Gate> regression_gates(const std::vector<Gate> &gates, double part);

} // namespace fairq::driver::judge
