// gates.cpp: reads gate text and judges gates. Never looks at a database or a plan; what is correctness and
// what is a threshold comes from the metric's class.
#include "judge/gates.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <numeric>

#include <fmt/format.h>

#include "text.hpp"

namespace fairq::driver::judge {
namespace {

constexpr std::string_view kSpace = " \t";

std::string_view trim(std::string_view text) {
    const std::size_t begin = text.find_first_not_of(kSpace);
    if (begin == std::string_view::npos)
        return {};
    return text.substr(begin, text.find_last_not_of(kSpace) - begin + 1);
}

/// Takes `prefix...suffix` apart; nothing when the text has another shape.
std::optional<std::string_view> inside(std::string_view text, std::string_view prefix, char suffix) {
    if (text.substr(0, prefix.size()) != prefix || text.empty() || text.back() != suffix)
        return std::nullopt;
    return text.substr(prefix.size(), text.size() - prefix.size() - 1);
}

void parse_tag(std::string_view text, std::string_view whole, MetricRef &ref) {
    const std::size_t colon = text.find(':');
    if (colon == std::string_view::npos)
        throw GateError(fmt::format(
            "the selector of \"{}\" must look like {{phase:name}} or {{phase:name, actor:name}}", whole));
    const std::string tag(trim(text.substr(0, colon)));
    const std::string name(trim(text.substr(colon + 1)));
    if ((tag != "phase" && tag != "actor") || name.empty())
        throw GateError(
            fmt::format("unknown selector \"{}\" in \"{}\"; there are {{phase:name}} and {{actor:name}}{}",
                        tag, whole, did_you_mean(tag, {"phase", "actor"})));
    (tag == "phase" ? ref.phase : ref.actor) = name;
}

MetricRef parse_metric(std::string_view text) {
    MetricRef ref;
    const std::size_t brace = text.find('{');
    ref.metric = trim(text.substr(0, brace));
    if (measure::find_metric(ref.metric) == nullptr) {
        std::vector<std::string> known;
        for (const measure::MetricInfo &metric : measure::known_metrics())
            known.emplace_back(metric.name);
        throw GateError(fmt::format("unknown metric \"{}\"{}", ref.metric, did_you_mean(ref.metric, known)));
    }
    if (brace == std::string_view::npos)
        return ref;
    auto selector = inside(text.substr(brace), "{", '}');
    if (!selector)
        throw GateError(fmt::format(
            "the selector of \"{}\" must look like {{phase:name}} or {{phase:name, actor:name}}", text));
    for (std::size_t comma = selector->find(','); comma != std::string_view::npos;
         comma = selector->find(',')) {
        parse_tag(selector->substr(0, comma), text, ref);
        selector = selector->substr(comma + 1);
    }
    parse_tag(*selector, text, ref);
    return ref;
}

/// The comma between the operands of a ratio, not one inside {…}.
std::size_t dividing_comma(std::string_view text) {
    int depth = 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
        depth += text[i] == '{' ? 1 : text[i] == '}' ? -1 : 0;
        if (text[i] == ',' && depth == 0)
            return i;
    }
    return std::string_view::npos;
}

std::vector<MetricRef> parse_operands(std::string_view text) {
    const auto arguments = inside(text, "ratio(", ')');
    if (!arguments)
        return {parse_metric(text)};
    const std::size_t comma = dividing_comma(*arguments);
    if (comma == std::string_view::npos)
        throw GateError(fmt::format("\"{}\" needs two metrics: ratio(a, b)", text));
    return {parse_metric(trim(arguments->substr(0, comma))),
            parse_metric(trim(arguments->substr(comma + 1)))};
}

double parse_number(std::string_view text, std::string_view whole) {
    double number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (text.empty() || error != std::errc{} || end != text.data() + text.size() || !std::isfinite(number))
        throw GateError(fmt::format("\"{}\" is not a number in \"{}\"", text, whole));
    return number;
}

void parse_aggregation(std::string_view text, Gate &gate) {
    struct Name {
        std::string_view text;
        Aggregation aggregation;
    };
    constexpr std::array<Name, 6> kNames{{{"value", Aggregation::value},
                                          {"count", Aggregation::count},
                                          {"avg", Aggregation::avg},
                                          {"min", Aggregation::min},
                                          {"max", Aggregation::max},
                                          {"med", Aggregation::med}}};
    for (const Name &name : kNames)
        if (text == name.text) {
            gate.aggregation = name.aggregation;
            return;
        }
    const auto argument = inside(text, "p(", ')');
    if (!argument)
        throw GateError(fmt::format(
            "unknown aggregation \"{}\"; there are value, count, avg, min, max, med, p(x)", text));
    gate.aggregation = Aggregation::percentile;
    gate.percentile = parse_number(*argument, text);
    if (gate.percentile <= 0 || gate.percentile > 100)
        throw GateError(fmt::format("a percentile lies over 0 and up to 100, not {}", *argument));
}

void parse_expression(std::string_view text, Gate &gate) {
    struct Operator {
        std::string_view text;
        Comparison comparison;
    };
    // Two characters first: "<=" starts with "<".
    constexpr std::array<Operator, 6> kOperators{{{"<=", Comparison::less_equal},
                                                  {">=", Comparison::greater_equal},
                                                  {"==", Comparison::equal},
                                                  {"!=", Comparison::not_equal},
                                                  {"<", Comparison::less},
                                                  {">", Comparison::greater}}};
    for (const Operator &op : kOperators) {
        const std::size_t at = text.find(op.text);
        if (at == std::string_view::npos)
            continue;
        parse_aggregation(trim(text.substr(0, at)), gate);
        gate.comparison = op.comparison;
        gate.limit = parse_number(trim(text.substr(at + op.text.size())), text);
        return;
    }
    throw GateError(fmt::format("\"{}\" has no comparison; write it like max<180", text));
}

/// A trend has no single value, and a counter or gauge has no distribution.
void check_aggregation(const Gate &gate) {
    for (const MetricRef &ref : gate.operands) {
        const measure::MetricType type = measure::find_metric(ref.metric)->type;
        const bool single = gate.aggregation == Aggregation::value;
        if (type == measure::MetricType::trend && single)
            throw GateError(fmt::format("{} is a trend: use min, max, avg, med, p(x) or count", ref.metric));
        const bool counted = type == measure::MetricType::counter && gate.aggregation == Aggregation::count;
        if (type != measure::MetricType::trend && !single && !counted)
            throw GateError(fmt::format("{} is one number: use value", ref.metric));
    }
}

/// Ten samples beyond the percentile, so that p(99) is not the luck of one of them.
std::size_t default_floor(const Gate &gate) {
    if (gate.aggregation != Aggregation::percentile || gate.percentile >= 100)
        return 1;
    return static_cast<std::size_t>(std::llround(1000.0 / (100.0 - gate.percentile)));
}

double aggregate(const Gate &gate, const MetricRef &ref, const measure::Series &series) {
    switch (gate.aggregation) {
    case Aggregation::value:
        return series.sum(); // of a counter; a gauge has one
    case Aggregation::count:
        return measure::find_metric(ref.metric)->type == measure::MetricType::counter
                   ? series.sum()
                   : static_cast<double>(series.count());
    case Aggregation::avg:
        return series.average();
    case Aggregation::min:
        return series.percentile(0);
    case Aggregation::max:
        return series.percentile(100);
    case Aggregation::med:
        return series.percentile(50);
    case Aggregation::percentile:
        return series.percentile(gate.percentile);
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
    if (measure::find_metric(ref.metric)->type == measure::MetricType::counter)
        return {samples.sum(ref.metric, ref.phase, ref.actor)};
    return samples.series(ref.metric, ref.phase, ref.actor);
}

bool worse(const Gate &gate, double value, double than) {
    switch (gate.comparison) {
    case Comparison::less:
    case Comparison::less_equal:
        return value > than;
    case Comparison::greater:
    case Comparison::greater_equal:
        return value < than;
    case Comparison::equal:
        return std::abs(value - gate.limit) > std::abs(than - gate.limit);
    case Comparison::not_equal:
        return std::abs(value - gate.limit) < std::abs(than - gate.limit);
    }
    return false;
}

/// One value for each series; for a ratio, for each pair, of the same phase where both name none.
std::vector<double> values_of(const Gate &gate, const std::vector<std::vector<measure::Series>> &operands,
                              std::string &note) {
    std::vector<double> values;
    for (const measure::Series &first : operands[0]) {
        const double value = aggregate(gate, gate.operands[0], first);
        if (operands.size() == 1) {
            values.push_back(value);
            continue;
        }
        const bool paired = gate.operands[0].phase.empty() && gate.operands[1].phase.empty();
        for (const measure::Series &second : operands[1]) {
            if (paired && first.phase != second.phase)
                continue;
            const double divisor = aggregate(gate, gate.operands[1], second);
            if (divisor == 0) {
                note = fmt::format("{} is 0", gate.operands[1].metric);
                return {};
            }
            values.push_back(value / divisor);
        }
    }
    if (values.empty())
        note = "no phase has both";
    return values;
}

} // namespace

Gate parse_gate(std::string_view metric, std::string_view expression, std::size_t min_samples) {
    Gate gate;
    gate.metric_text = trim(metric);
    gate.expression = trim(expression);
    gate.operands = parse_operands(trim(metric));
    parse_expression(trim(expression), gate);
    check_aggregation(gate);
    gate.min_samples = min_samples == 0 ? default_floor(gate) : min_samples;
    // A quotient is a measurement, also when it is one of counters.
    gate.gate_class = gate.operands.size() == 1 ? measure::find_metric(gate.operands[0].metric)->gate_class
                                                : measure::GateClass::threshold;
    return gate;
}

GateResult judge(const Gate &gate, const measure::Samples &samples) {
    GateResult result;
    result.gate = gate;
    std::vector<std::vector<measure::Series>> operands;
    for (const MetricRef &ref : gate.operands) {
        operands.push_back(series_of(samples, ref));
        std::size_t seen = 0;
        for (const measure::Series &series : operands.back())
            seen += series.samples;
        result.samples = operands.size() == 1 ? seen : std::min(result.samples, seen);
        if (seen == 0 || seen < gate.min_samples) {
            result.note = seen == 0 ? fmt::format("no samples of {}", ref.metric)
                                    : fmt::format("{} samples, {} needed", seen, gate.min_samples);
            result.samples = seen;
            return result;
        }
    }
    for (const double value : values_of(gate, operands, result.note))
        if (!result.value || worse(gate, value, *result.value))
            result.value = value;
    if (!result.value)
        return result;
    const bool held = holds(*result.value, gate.comparison, gate.limit);
    const Verdict otherwise =
        gate.gate_class == measure::GateClass::validity ? Verdict::inconclusive : Verdict::failed;
    result.verdict = held ? Verdict::passed : otherwise;
    if (result.verdict == Verdict::inconclusive)
        result.note = "the run itself was not as planned";
    return result;
}

std::vector<Gate> ledger_gates() {
    std::vector<Gate> gates;
    for (const char *metric :
         {"lost", "duplicated", "unexpected", "stuck", "outbox", "dead_letters", "unfinished"}) {
        Gate gate = parse_gate(metric, "value==0");
        gate.id = "LEDGER";
        gate.title = measure::find_metric(metric)->meaning;
        gates.push_back(gate);
    }
    Gate complete = parse_gate("phases_complete_ratio", "value==1");
    complete.id = "VALID";
    complete.title = measure::find_metric("phases_complete_ratio")->meaning;
    gates.push_back(complete);
    return gates;
}

Gate offered_gate(const std::string &phase) {
    Gate gate = parse_gate(fmt::format("offered_ratio{{phase:{}}}", phase), "value>=0.95");
    gate.id = "VALID";
    gate.title = measure::find_metric("offered_ratio")->meaning;
    return gate;
}

} // namespace fairq::driver::judge
