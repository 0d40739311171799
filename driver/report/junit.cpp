// junit.cpp: JUnit XML and TAP: each gate is a test.
#include <fmt/format.h>

#include "report/files.hpp"
#include "text.hpp"
#include "units.hpp"

namespace fairq::driver::report {
namespace {

/// Also of attributes. Control characters have no form in XML 1.0 at all: printable() writes them as text.
std::string xml(const std::string &text) {
    std::string escaped;
    for (const char c : printable(text))
        switch (c) {
        case '<':
            escaped += "&lt;";
            break;
        case '>':
            escaped += "&gt;";
            break;
        case '&':
            escaped += "&amp;";
            break;
        case '"':
            escaped += "&quot;";
            break;
        default:
            escaped += c;
        }
    return escaped;
}

std::string value_text(const GateLine &gate) {
    return gate.value ? format_number(*gate.value) : "no value";
}

std::string message(const GateLine &gate) {
    std::string text = fmt::format("{} was {}, wanted {} ({} samples)", gate.metric, value_text(gate),
                                   gate.expression, gate.samples);
    for (const std::string &more : {gate.note, gate.hint})
        if (!more.empty())
            text += "; " + more;
    return text;
}

/// The phase that the gate is about, or the plan as a whole.
std::string place(const Summary &summary, const GateLine &gate) {
    const std::string phase = selected(gate, "phase");
    return phase.empty() ? summary.plan : summary.plan + "." + phase;
}

double seconds_of(const Summary &summary, const GateLine &gate) {
    for (const PhaseSummary &phase : summary.phases)
        if (selected(gate, "phase") == phase.name)
            return phase.wall_seconds;
    return 0;
}

std::string verdict_element(const GateLine &gate) {
    if (gate.verdict == judge::Verdict::skipped)
        return fmt::format("<skipped message=\"{}\"/>", xml(gate.note));
    const char *const element = gate.verdict == judge::Verdict::failed ? "failure" : "error";
    return fmt::format("<{} message=\"{}\" type=\"{}\"/>", element, xml(message(gate)), xml(gate.gate_class));
}

std::string yaml_text(const std::string &text) {
    std::string quoted = "'";
    for (const char c : printable(text))
        quoted += c == '\'' ? std::string("''") : std::string(1, c);
    return quoted + "'";
}

/// A "#" would begin a directive.
std::string tap_text(const std::string &text) {
    std::string escaped;
    for (const char c : printable(text))
        escaped += c == '#' || c == '\\' ? std::string("\\") + c : std::string(1, c);
    return escaped;
}

} // namespace

std::string junit_report(const Summary &summary) {
    const judge::Tally &counts = summary.tally;
    const std::string numbers = fmt::format(
        "tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"{}\" time=\"{:.3f}\"", summary.gates.size(),
        counts.failed - counts.inconclusive, counts.inconclusive, counts.skipped, summary.wall_seconds);
    std::string text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";
    text += fmt::format("<testsuites name=\"fairq\" {}>\n", numbers);
    text += fmt::format("  <testsuite name=\"{}\" timestamp=\"{}\" {}>\n    <properties>\n",
                        xml(summary.plan), xml(summary.generated_at.substr(0, 19)), numbers);
    for (const auto &[name, value] :
         {std::pair("verdict", judge::outcome_word(summary.outcome)), std::pair("profile", summary.profile),
          std::pair("run_id", summary.run_id), std::pair("seed", std::to_string(summary.seed)),
          std::pair("server", summary.server), std::pair("extension", summary.extension)})
        text += fmt::format("      <property name=\"{}\" value=\"{}\"/>\n", name, xml(value));
    text += "    </properties>\n";
    for (const GateLine &gate : summary.gates) {
        text += fmt::format(
            "    <testcase classname=\"{}\" name=\"{}\" time=\"{:.3f}\"", xml(place(summary, gate)),
            xml(fmt::format("{} {} {}", gate.id, gate.metric, gate.expression)), seconds_of(summary, gate));
        text += gate.verdict == judge::Verdict::passed
                    ? std::string("/>\n")
                    : fmt::format(">\n      {}\n    </testcase>\n", verdict_element(gate));
    }
    text += fmt::format("    <system-out>{}</system-out>\n", xml(summary.again));
    return text + "  </testsuite>\n</testsuites>\n";
}

std::string tap_report(const Summary &summary) {
    std::string text = fmt::format("TAP version 13\n1..{}\n", summary.gates.size());
    std::size_t number = 0;
    for (const GateLine &gate : summary.gates) {
        const bool skipped = gate.verdict == judge::Verdict::skipped;
        const bool good = skipped || gate.verdict == judge::Verdict::passed;
        text += fmt::format("{} {} - {} {} {}{}\n", good ? "ok" : "not ok", ++number, tap_text(gate.id),
                            tap_text(gate.metric), tap_text(gate.expression),
                            skipped ? " # SKIP " + tap_text(gate.note) : "");
        if (!good)
            text += fmt::format("  ---\n  verdict: {}\n  message: {}\n  value: {}\n  samples: {}\n  ...\n",
                                verdict_name(gate.verdict), yaml_text(message(gate)),
                                gate.value ? fmt::format("{}", *gate.value) : "~", gate.samples);
    }
    return text;
}

} // namespace fairq::driver::report
