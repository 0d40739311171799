// gates.cpp: judges gates. Never looks at a database or a plan.
#include "judge/gates.hpp"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "judge/windows.hpp"

namespace fairq::driver::judge {
namespace {

double aggregate(const Gate &gate, const MetricRef &ref, const measure::Series &series) {
    const measure::MetricType type = measure::find_metric(ref.metric)->type;
    switch (gate.expected.aggregation) {
    case Aggregation::value: // a counter's sum, a gauge's only value; a slope looks at each moment
        return gate.shape == Shape::slope ? series.average() : series.sum();
    case Aggregation::count:
        return type == measure::MetricType::counter ? series.sum() : static_cast<double>(series.count());
    case Aggregation::rate:
        return type == measure::MetricType::counter ? series.sum() / series.seconds : series.sum();
    case Aggregation::avg:
        return series.average();
    case Aggregation::min:
        return series.percentile(0);
    case Aggregation::max:
        return series.percentile(100);
    case Aggregation::med:
        return series.percentile(50);
    case Aggregation::percentile:
        return series.percentile(gate.expected.percentile);
    }
    return 0;
}

bool holds(double value, Comparison comparison, double limit) {
    switch (comparison) {
    case Comparison::less:
        return value < limit;
    case Comparison::less_equal:
        return value <= limit;
    case Comparison::greater:
        return value > limit;
    case Comparison::greater_equal:
        return value >= limit;
    case Comparison::equal:
        return value == limit;
    case Comparison::not_equal:
        return value != limit;
    }
    return false;
}

/// What a gate compares: a counter over all phases, everything else phase by phase, and the worst of them
/// counts.
std::vector<measure::Series> series_of(const measure::Samples &samples, const MetricRef &ref) {
    if (measure::find_metric(ref.metric)->type == measure::MetricType::counter) {
        measure::Series sum = samples.sum(ref.metric, ref.phase, ref.actor, ref.tags);
        return sum.empty() ? std::vector<measure::Series>{} : std::vector<measure::Series>{sum};
    }
    return samples.series(ref.metric, ref.phase, ref.actor, ref.tags);
}

bool worse(const Gate &gate, double value, double than, double limit) {
    switch (gate.expected.comparison) {
    case Comparison::less:
    case Comparison::less_equal:
        return value > than;
    case Comparison::greater:
    case Comparison::greater_equal:
        return value < than;
    case Comparison::equal:
        return std::abs(value - limit) > std::abs(than - limit);
    case Comparison::not_equal:
        return std::abs(value - limit) < std::abs(than - limit);
    }
    return false;
}

/// One value for each pair, of the same phase where both name none.
std::vector<double> quotients(const Gate &gate, const std::vector<measure::Series> &dividends,
                              const std::vector<measure::Series> &divisors, std::string &note) {
    const bool paired = gate.operands[0].phase.empty() && gate.operands[1].phase.empty();
    std::vector<double> values;
    for (const measure::Series &first : dividends)
        for (const measure::Series &second : divisors) {
            if (paired && first.phase != second.phase)
                continue;
            const double divisor = aggregate(gate, gate.operands[1], second);
            if (divisor == 0) {
                note = fmt::format("{} is 0", gate.operands[1].metric);
                return {};
            }
            values.push_back(aggregate(gate, gate.operands[0], first) / divisor);
        }
    if (values.empty())
        note = "no phase has both";
    return values;
}

/// One value for each stretch with enough samples.
std::vector<double> stretches(const Gate &gate, const std::vector<measure::Series> &all, std::string &note) {
    std::vector<double> values;
    std::size_t seen = 0;
    for (const measure::Series &series : all)
        for (const Window &window : cut(series, static_cast<double>(gate.window->count()) / 1000)) {
            ++seen;
            if (window.series.count() >= gate.min_samples)
                values.push_back(aggregate(gate, gate.operands[0], window.series));
        }
    note = values.empty()
               ? fmt::format("none of {} windows has {} samples", seen, gate.min_samples)
               : fmt::format("the worst of {} windows of {}", values.size(), format_duration(*gate.window));
    return values;
}

/// One value for each series that is long enough.
std::vector<double> slopes(const Gate &gate, const std::vector<measure::Series> &all, std::string &note) {
    const double seconds = static_cast<double>(gate.window.value_or(Milliseconds(1000)).count()) / 1000;
    std::vector<double> values;
    std::size_t longest = 0;
    for (const measure::Series &series : all) {
        std::vector<Moment> moments;
        for (const Window &window : cut(series, seconds))
            moments.push_back({window.from, aggregate(gate, gate.operands[0], window.series)});
        moments = without_warm_up(moments);
        longest = std::max(longest, moments.size());
        const auto slope = steepness(moments);
        if (slope && moments.size() >= gate.min_samples)
            values.push_back(*slope * gate.expected.per_seconds);
    }
    if (values.empty())
        note = fmt::format("{} moments, {} needed", longest, gate.min_samples);
    return values;
}

std::vector<double> values_of(const Gate &gate, const std::vector<std::vector<measure::Series>> &operands,
                              std::string &note) {
    if (gate.shape == Shape::ratio)
        return quotients(gate, operands[0], operands[1], note);
    if (gate.shape == Shape::slope)
        return slopes(gate, operands[0], note);
    if (gate.window)
        return stretches(gate, operands[0], note);
    std::vector<double> values;
    for (const measure::Series &series : operands[0])
        values.push_back(aggregate(gate, gate.operands[0], series));
    return values;
}

/// Nothing, and why in the note, when there are not enough samples.
std::vector<std::vector<measure::Series>> operands_of(const Gate &gate, const measure::Samples &samples,
                                                      GateResult &result) {
    std::vector<std::vector<measure::Series>> operands;
    for (const MetricRef &ref : gate.operands) {
        operands.push_back(series_of(samples, ref));
        std::size_t seen = 0;
        for (const measure::Series &series : operands.back())
            seen += series.samples;
        result.samples = operands.size() == 1 ? seen : std::min(result.samples, seen);
        const bool timeless = gate.expected.aggregation == Aggregation::rate && seen > 0 &&
                              operands.back()[0].seconds == 0 &&
                              measure::find_metric(ref.metric)->type == measure::MetricType::counter;
        const bool whole = gate.shape == Shape::slope || gate.window;
        const std::size_t needed = whole ? 1 : gate.min_samples; // of each stretch
        if (seen > 0 && seen >= needed && !timeless)
            continue;
        result.note = timeless    ? fmt::format("nobody knows how long {} was counted", ref.metric)
                      : seen == 0 ? fmt::format("no samples of {}", ref.metric)
                                  : fmt::format("{} samples, {} needed", seen, gate.min_samples);
        result.samples = seen;
        return {};
    }
    return operands;
}

/// Nothing, and why in the note, when it is a factor of a value that is not there.
std::optional<double> limit_of(const Gate &gate, const Baseline *baseline, GateResult &result) {
    if (!gate.expected.of_baseline)
        return gate.expected.limit;
    if (baseline == nullptr) {
        result.verdict = Verdict::skipped;
        result.note = "no baseline was given";
        return std::nullopt;
    }
    const auto found = baseline->find(baseline_key(gate.metric_text, gate.expression));
    if (found == baseline->end()) {
        result.note = "the baseline has no such value";
        return std::nullopt;
    }
    return gate.expected.limit * found->second;
}

Level level_of(const Gate &gate, double value, double scale) {
    const auto meets = [&](const Expectation &level) {
        return holds(value, level.comparison, level.limit * scale);
    };
    if (!gate.target && !gate.critical)
        return Level::none;
    if (gate.target && meets(*gate.target))
        return Level::target;
    if (meets(gate.expected))
        return Level::acceptable;
    return gate.critical && !meets(*gate.critical) ? Level::critical : Level::missed;
}

/// What a bare verdict would hide.
void add_remarks(const Gate &gate, GateResult &result) {
    const auto remark = [&](const std::string &text) {
        result.note += (result.note.empty() ? "" : "; ") + text;
    };
    if (gate.expected.of_baseline)
        remark(fmt::format("the limit is {}", format_number(*result.limit)));
    if (result.level == Level::acceptable && gate.target)
        remark(fmt::format("acceptable, but short of the target {}", gate.target->text));
    if (result.level == Level::critical)
        remark(fmt::format("critical: not even {}", gate.critical->text));
}

} // namespace

std::string level_word(Level level) {
    switch (level) {
    case Level::none:
        return "";
    case Level::target:
        return "target";
    case Level::acceptable:
        return "acceptable";
    case Level::missed:
        return "missed";
    case Level::critical:
        return "critical";
    }
    return "";
}

GateResult judge(const Gate &gate, const measure::Samples &samples, const Baseline *baseline) {
    GateResult result;
    result.gate = gate;
    result.limit = limit_of(gate, baseline, result);
    if (!result.limit)
        return result;
    const auto operands = operands_of(gate, samples, result);
    if (operands.empty())
        return result;
    for (const double value : values_of(gate, operands, result.note))
        if (!result.value || worse(gate, value, *result.value, *result.limit))
            result.value = value;
    if (!result.value)
        return result;
    const bool held = holds(*result.value, gate.expected.comparison, *result.limit);
    const Verdict otherwise =
        gate.gate_class == measure::GateClass::validity ? Verdict::inconclusive : Verdict::failed;
    result.verdict = held ? Verdict::passed : otherwise;
    result.level =
        level_of(gate, *result.value, gate.expected.limit == 0 ? 1 : *result.limit / gate.expected.limit);
    if (result.verdict == Verdict::inconclusive)
        result.note = "the run itself was not as planned";
    add_remarks(gate, result);
    return result;
}

} // namespace fairq::driver::judge
