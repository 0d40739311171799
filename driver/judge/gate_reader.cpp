// gate_reader.cpp: gates from their text. What is correctness and what is a threshold comes from the metric's
// class; which phases, actors and tags there are, only the plan knows.
#include "judge/gates.hpp"

#include <array>
#include <charconv>
#include <cmath>

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
    const std::string tag(trim(text.substr(0, colon)));
    const std::string name(colon == std::string_view::npos ? "" : trim(text.substr(colon + 1)));
    if (tag.empty() || name.empty())
        throw GateError(fmt::format(
            "the selector of \"{}\" must look like {{phase:name}} or {{phase:name, actor:name}}", whole));
    if (tag == "phase")
        ref.phase = name;
    else if (tag == "actor")
        ref.actor = name;
    else
        ref.tags[tag] = name;
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

void parse_operands(std::string_view text, Gate &gate) {
    if (const auto argument = inside(text, "slope(", ')')) {
        gate.shape = Shape::slope;
        gate.operands = {parse_metric(trim(*argument))};
    } else if (const auto arguments = inside(text, "ratio(", ')')) {
        const std::size_t comma = dividing_comma(*arguments);
        if (comma == std::string_view::npos)
            throw GateError(fmt::format("\"{}\" needs two metrics: ratio(a, b)", text));
        gate.shape = Shape::ratio;
        gate.operands = {parse_metric(trim(arguments->substr(0, comma))),
                         parse_metric(trim(arguments->substr(comma + 1)))};
    } else {
        gate.operands = {parse_metric(text)};
    }
}

double parse_number(std::string_view text, std::string_view whole) {
    double number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (text.empty() || error != std::errc{} || end != text.data() + text.size() || !std::isfinite(number))
        throw GateError(fmt::format("\"{}\" is not a number in \"{}\"", text, whole));
    return number;
}

void parse_aggregation(std::string_view text, Expectation &expected) {
    struct Name {
        std::string_view text;
        Aggregation aggregation;
    };
    constexpr std::array<Name, 7> kNames{{{"value", Aggregation::value},
                                          {"count", Aggregation::count},
                                          {"rate", Aggregation::rate},
                                          {"avg", Aggregation::avg},
                                          {"min", Aggregation::min},
                                          {"max", Aggregation::max},
                                          {"med", Aggregation::med}}};
    for (const Name &name : kNames)
        if (text == name.text) {
            expected.aggregation = name.aggregation;
            return;
        }
    const auto argument = inside(text, "p(", ')');
    if (!argument)
        throw GateError(fmt::format(
            "unknown aggregation \"{}\"; there are value, count, rate, avg, min, max, med, p(x)", text));
    expected.aggregation = Aggregation::percentile;
    expected.percentile = parse_number(*argument, text);
    if (expected.percentile <= 0 || expected.percentile > 100)
        throw GateError(fmt::format("a percentile lies over 0 and up to 100, not {}", *argument));
}

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

/// "500", of a slope "500/min", "baseline" or "1.1*baseline".
void parse_limit(std::string_view text, Shape shape, Expectation &expected) {
    constexpr std::string_view kBaseline = "baseline";
    std::string_view number = text;
    if (number.size() >= kBaseline.size() && number.substr(number.size() - kBaseline.size()) == kBaseline) {
        expected.of_baseline = true;
        number = trim(number.substr(0, number.size() - kBaseline.size()));
        if (number.empty())
            number = "1";
        else if (number.back() == '*')
            number = trim(number.substr(0, number.size() - 1));
        else
            throw GateError(fmt::format("\"{}\" must look like 1.1*baseline", expected.text));
    } else if (shape == Shape::slope) {
        constexpr std::array<std::pair<std::string_view, double>, 3> kUnits{
            {{"s", 1}, {"min", 60}, {"h", 3600}}};
        const std::size_t slash = number.rfind('/');
        for (const auto &[unit, seconds] : kUnits)
            if (slash != std::string_view::npos && trim(number.substr(slash + 1)) == unit)
                expected.per_seconds = seconds;
        if (expected.per_seconds == 0)
            throw GateError(fmt::format(
                "the limit of a slope needs a time, /s, /min or /h, as in 0.5/min: \"{}\"", expected.text));
        number = trim(number.substr(0, slash));
    }
    expected.limit = parse_number(number, expected.text);
}

/// The place of the operator, and which.
std::pair<std::size_t, Operator> find_operator(std::string_view text) {
    for (const Operator &op : kOperators)
        if (const std::size_t at = text.find(op.text); at != std::string_view::npos)
            return {at, op};
    throw GateError(fmt::format("\"{}\" has no comparison; write it like max<180", text));
}

Expectation parse_expression(std::string_view text, Shape shape) {
    Expectation expected;
    expected.text = text;
    const auto [at, op] = find_operator(text);
    parse_aggregation(trim(text.substr(0, at)), expected);
    expected.comparison = op.comparison;
    parse_limit(trim(text.substr(at + op.text.size())), shape, expected);
    return expected;
}

bool is_ratio(std::string_view metric) {
    constexpr std::string_view kEnd = "_ratio";
    return metric.size() > kEnd.size() && metric.substr(metric.size() - kEnd.size()) == kEnd;
}

/// A trend has no single value, and a counter or gauge has no distribution.
void check_aggregation(const Gate &gate) {
    const Aggregation aggregation = gate.expected.aggregation;
    for (const MetricRef &ref : gate.operands) {
        const measure::MetricType type = measure::find_metric(ref.metric)->type;
        const bool trend = type == measure::MetricType::trend;
        const bool counter = type == measure::MetricType::counter;
        if (gate.shape == Shape::slope && !trend)
            throw GateError(fmt::format("{} is one number: it has no slope", ref.metric));
        if (aggregation == Aggregation::rate && !counter && !is_ratio(ref.metric))
            throw GateError(
                fmt::format("{} has no rate: a counter has one by the second, and a metric that ends with "
                            "_ratio is one",
                            ref.metric));
        if (trend && aggregation == Aggregation::value && gate.shape != Shape::slope)
            throw GateError(fmt::format("{} is a trend: use min, max, avg, med, p(x) or count", ref.metric));
        const bool single = aggregation == Aggregation::value || aggregation == Aggregation::rate ||
                            (counter && aggregation == Aggregation::count);
        if (!trend && !single)
            throw GateError(
                fmt::format("{} is one number: use value{}", ref.metric, counter ? " or rate" : ""));
    }
}

/// Ten samples beyond the percentile, so that p(99) is not the luck of one of them; of a slope ten moments.
std::size_t default_floor(const Gate &gate) {
    if (gate.shape == Shape::slope)
        return 10;
    if (gate.expected.aggregation != Aggregation::percentile || gate.expected.percentile >= 100)
        return 1;
    return static_cast<std::size_t>(std::llround(1000.0 / (100.0 - gate.expected.percentile)));
}

bool wants_less(Comparison comparison) {
    return comparison == Comparison::less || comparison == Comparison::less_equal;
}

bool has_direction(Comparison comparison) {
    return comparison != Comparison::equal && comparison != Comparison::not_equal;
}

Expectation parse_level(std::string_view text, const char *name, const Gate &gate) {
    Expectation level = parse_expression(trim(text), gate.shape);
    const Expectation &expected = gate.expected;
    if (!has_direction(expected.comparison) ||
        wants_less(level.comparison) != wants_less(expected.comparison) || !has_direction(level.comparison) ||
        level.aggregation != expected.aggregation || level.percentile != expected.percentile ||
        level.of_baseline != expected.of_baseline || level.per_seconds != expected.per_seconds)
        throw GateError(fmt::format("the {} \"{}\" must look at the same as \"{}\", with < or >", name,
                                    level.text, expected.text));
    return level;
}

} // namespace

Gate parse_gate(std::string_view metric, std::string_view expression, std::size_t min_samples) {
    Gate gate;
    gate.metric_text = trim(metric);
    gate.expression = trim(expression);
    parse_operands(trim(metric), gate);
    gate.expected = parse_expression(trim(expression), gate.shape);
    check_aggregation(gate);
    gate.min_samples = min_samples == 0 ? default_floor(gate) : min_samples;
    // A quotient or a slope is a measurement, also when it is one of what must be right.
    gate.gate_class = gate.shape == Shape::plain ? measure::find_metric(gate.operands[0].metric)->gate_class
                                                 : measure::GateClass::threshold;
    return gate;
}

void set_levels(Gate &gate, std::string_view target, std::string_view critical) {
    if (!target.empty())
        gate.target = parse_level(target, "target", gate);
    if (!critical.empty())
        gate.critical = parse_level(critical, "critical limit", gate);
    const double sign = wants_less(gate.expected.comparison) ? 1 : -1;
    if ((gate.target && sign * gate.target->limit > sign * gate.expected.limit) ||
        (gate.critical && sign * gate.critical->limit < sign * gate.expected.limit))
        throw GateError(
            fmt::format("the levels of a gate lie one behind the other: target, \"{}\", critical limit",
                        gate.expression));
}

void set_window(Gate &gate, Milliseconds window) {
    if (gate.shape == Shape::ratio ||
        measure::find_metric(gate.operands[0].metric)->type != measure::MetricType::trend)
        throw GateError(fmt::format("\"{}\" is known at the end of a phase only: a window needs a trend",
                                    gate.metric_text));
    gate.window = window;
}

std::string baseline_key(const std::string &metric, const std::string &expression) {
    return fmt::format("{} {}", metric,
                       trim(std::string_view(expression).substr(0, find_operator(expression).first)));
}

std::vector<Gate> ledger_gates() {
    std::vector<Gate> gates;
    for (const char *metric : {"lost", "duplicated", "unexpected", "stuck", "outbox", "early", "out_of_order",
                               "leaks", "dead_letters", "unfinished"}) {
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

std::vector<Gate> regression_gates(const std::vector<Gate> &gates, double part) {
    std::vector<Gate> added;
    for (const Gate &gate : gates) {
        if (gate.gate_class != measure::GateClass::threshold || gate.expected.of_baseline ||
            !has_direction(gate.expected.comparison))
            continue;
        const bool less = wants_less(gate.expected.comparison);
        const std::string what = gate.expression.substr(0, find_operator(gate.expression).first);
        Gate regression =
            parse_gate(gate.metric_text, fmt::format("{}{}{}*baseline", trim(what),
                                                     less ? "<=" : ">=", less ? 1 + part : 1 - part));
        regression.min_samples = gate.min_samples;
        regression.window = gate.window;
        regression.id = "BASE";
        regression.title = gate.title;
        added.push_back(regression);
    }
    return added;
}

} // namespace fairq::driver::judge
