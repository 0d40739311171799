// gate_controls.cpp: every kind of gate, over samples that hold and over samples that do not.
#include <fmt/format.h>

#include "judge/gates.hpp"
#include "selftest/selftest.hpp"

namespace fairq::driver::selftest {
namespace {

using judge::Level;
using judge::Verdict;
using measure::Samples;

struct GateControl {
    const char *name;
    judge::Gate gate;
    Samples sound, broken;
};

/// Sampled values, one a second.
Samples sampled(const std::vector<double> &values) {
    Samples samples;
    for (std::size_t i = 0; i < values.size(); ++i)
        samples.add_at("poll_ms", "p", static_cast<double>(i), values[i]);
    return samples;
}

Samples counted(double calls, double seconds = 10, const std::string &actor = "c") {
    Samples samples;
    samples.lasted("p", seconds);
    samples.tag("p", actor, {{"kind", actor}});
    samples.add("calls", "p", calls, 1000, actor);
    return samples;
}

Samples two(const char *metric, double a, double b) {
    Samples samples;
    samples.add(metric, "a", a, 10);
    samples.add(metric, "b", b, 10);
    return samples;
}

/// A hundred seconds of the first value, but for ten of them.
Samples with_a_bad_stretch(double usual, double bad) {
    std::vector<double> values(100, usual);
    std::fill(values.begin() + 40, values.begin() + 50, bad);
    return sampled(values);
}

Samples growing(double by) {
    std::vector<double> values;
    for (int i = 0; i < 100; ++i)
        values.push_back(5 + by * i);
    return sampled(values);
}

judge::Gate windowed(judge::Gate gate) {
    judge::set_window(gate, Milliseconds(10'000));
    return gate;
}

std::vector<GateControl> aggregations() {
    const auto gate = [](const char *metric, const char *expression) {
        return judge::parse_gate(metric, expression, 1);
    };
    return {{"value of a counter", gate("calls", "value>=100"), counted(100), counted(99)},
            {"value of a gauge", gate("drain_seconds", "value<9"), two("drain_seconds", 8, 8),
             two("drain_seconds", 8, 9)},
            {"count", gate("poll_ms", "count>=3"), sampled({1, 1, 1}), sampled({1, 1})},
            {"rate of a counter", gate("calls", "rate>=10"), counted(100), counted(100, 11)},
            {"rate of a ratio", gate("calls_failed_ratio", "rate<0.01"), two("calls_failed_ratio", 0, 0),
             two("calls_failed_ratio", 0, 0.02)},
            {"avg", gate("poll_ms", "avg<=2"), sampled({1, 2, 3}), sampled({1, 2, 4})},
            {"min", gate("poll_ms", "min>=1"), sampled({1, 2}), sampled({0.9, 2})},
            {"max", gate("poll_ms", "max<=2"), sampled({1, 2}), sampled({1, 2.1})},
            {"med", gate("poll_ms", "med<=2"), sampled({1, 2, 9}), sampled({1, 3, 9})},
            {"p(x)", gate("poll_ms", "p(50)<3"), sampled({1, 2, 9, 9}), sampled({1, 3, 9, 9})},
            {"==", gate("lost", "value==0"), two("lost", 0, 0), two("lost", 0, 1)},
            {"!=", gate("ticks", "value!=7"), two("ticks", 3, 3), two("ticks", 3, 4)},
            {"<", gate("poll_ms", "max<2"), sampled({1.9}), sampled({2})},
            {">", gate("poll_ms", "min>2"), sampled({2.1}), sampled({2})}};
}

std::vector<GateControl> shapes() {
    const auto gate = [](const char *metric, const char *expression) {
        return judge::parse_gate(metric, expression, 1);
    };
    Samples others = counted(100, 10, "other");
    others.add("calls", "p", 1, 1, "c");
    others.tag("p", "c", {{"kind", "c"}});
    return {
        {"{phase:…}", gate("drain_seconds{phase:b}", "value<9"), two("drain_seconds", 99, 8),
         two("drain_seconds", 1, 9)},
        {"{actor:…}", gate("calls{actor:c}", "value>=100"), counted(100), others},
        {"{tag:…}", gate("calls{kind:c}", "value>=100"), counted(100), others},
        {"ratio", gate("ratio(drain_seconds{phase:a}, drain_seconds{phase:b})", "value<=0.5"),
         two("drain_seconds", 4, 8), two("drain_seconds", 5, 8)},
        {"slope", gate("slope(poll_ms)", "value<6/min"), growing(0.05), growing(0.2)},
        {"window", windowed(gate("poll_ms", "avg<50")), with_a_bad_stretch(5, 49), with_a_bad_stretch(5, 90)},
        {"all phases: the worst", gate("drain_seconds", "value<9"), two("drain_seconds", 8, 1),
         two("drain_seconds", 1, 10)}};
}

Finding judged(const GateControl &control) {
    const judge::GateResult sound = judge::judge(control.gate, control.sound);
    const judge::GateResult broken = judge::judge(control.gate, control.broken);
    const judge::GateResult empty = judge::judge(control.gate, Samples{});
    Finding finding{fmt::format("gate: {}", control.name),
                    control.gate.metric_text + " " + control.gate.expression};
    finding.seen = sound.verdict == Verdict::passed && broken.verdict == Verdict::failed &&
                   empty.verdict == Verdict::inconclusive;
    finding.said = fmt::format("sound {}, broken {}, without samples {}", static_cast<int>(sound.verdict),
                               static_cast<int>(broken.verdict), static_cast<int>(empty.verdict));
    return finding;
}

Finding levels() {
    judge::Gate gate = judge::parse_gate("poll_ms", "max<500");
    judge::set_levels(gate, "max<100", "max<1000");
    Finding finding{"gate: levels", "max<100, max<500, max<1000", true, ""};
    for (const auto &[value, level] : {std::pair(99.0, Level::target), std::pair(499.0, Level::acceptable),
                                       std::pair(999.0, Level::missed), std::pair(1001.0, Level::critical)}) {
        const judge::GateResult result = judge::judge(gate, sampled({value}));
        const bool passes = level == Level::target || level == Level::acceptable;
        finding.seen = finding.seen && result.level == level && (result.verdict == Verdict::passed) == passes;
        finding.said += fmt::format("{}: {} ", value, judge::level_word(result.level));
    }
    return finding;
}

Finding baseline() {
    const judge::Gate gate = judge::parse_gate("poll_ms", "max<=1.1*baseline");
    const judge::Baseline earlier{{judge::baseline_key("poll_ms", "max<9"), 100}};
    const auto verdict = [&](double value, const judge::Baseline *given) {
        return judge::judge(gate, sampled({value}), given).verdict;
    };
    Finding finding{"gate: baseline", gate.expression, false, "it did not follow the earlier run"};
    finding.seen = verdict(110, &earlier) == Verdict::passed && verdict(111, &earlier) == Verdict::failed &&
                   verdict(1, nullptr) == Verdict::skipped;
    return finding;
}

Finding too_few_samples() {
    const judge::GateResult result =
        judge::judge(judge::parse_gate("poll_ms", "p(99)<50"), sampled({1, 2, 3}));
    return {"gate: sample floor", "p(99) of three samples", result.verdict == Verdict::inconclusive,
            result.note};
}

/// A metric of validity makes a run inconclusive, not red.
Finding validity() {
    const judge::GateResult result =
        judge::judge(judge::parse_gate("faults_fired_ratio", "value==1"), two("faults_fired_ratio", 1, 0.5));
    return {"gate: validity", "half of the faults fired", result.verdict == Verdict::inconclusive,
            result.note};
}

} // namespace

std::vector<Finding> gate_controls() {
    std::vector<Finding> findings;
    for (const std::vector<GateControl> &controls : {aggregations(), shapes()})
        for (const GateControl &control : controls)
            findings.push_back(judged(control));
    for (const Finding &finding : {levels(), baseline(), too_few_samples(), validity()})
        findings.push_back(finding);
    return findings;
}

} // namespace fairq::driver::selftest
