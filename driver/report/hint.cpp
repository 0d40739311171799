// hint.cpp: where to look first when a gate does not hold: one sentence, from what was measured beside it.
#include <algorithm>

#include <fmt/format.h>

#include "report/summary.hpp"
#include "units.hpp"

namespace fairq::driver::report {
namespace {

constexpr double kAround = 1.5; ///< seconds before and after the worst moment

const PhaseSummary *phase_named(const Summary &summary, const std::string &name) {
    for (const PhaseSummary &phase : summary.phases)
        if (phase.name == name)
            return &phase;
    return nullptr;
}

/// What most sessions waited for between these two moments, and their share; empty when nobody did anything.
std::string most_waited_for(const PhaseSummary &phase, double from, double to) {
    std::map<std::string, double> waits;
    double all = 0;
    for (const SystemPoint &point : phase.system)
        if (point.at >= from && point.at <= to)
            for (const auto &[event, sessions] : point.waits) {
                if (event.compare(0, 10, "Extension/") == 0)
                    continue; // workers that sleep until there are jobs
                waits[event] += sessions;
                all += sessions;
            }
    if (waits.empty() || all <= 0)
        return "";
    const auto most = std::max_element(waits.begin(), waits.end(),
                                       [](const auto &a, const auto &b) { return a.second < b.second; });
    const std::string what = most->first == "CPU" ? "ran on CPU" : "waited for " + most->first;
    return fmt::format("its sessions {} {:.0f} % of the time", what, 100 * most->second / all);
}

std::string fault_at(const PhaseSummary &phase, double at) {
    for (const FaultLine &fault : phase.faults)
        if (fault.fired && at >= fault.from - kAround && at <= fault.to + kAround)
            return fmt::format("the fault {} struck then", fault.name);
    return "";
}

std::string joined(const std::vector<std::string> &parts) {
    std::string text;
    for (const std::string &part : parts)
        if (!part.empty())
            text += (text.empty() ? "" : "; ") + part;
    return text;
}

/// The slice in which the metric was worst, and what the server did then.
std::string worst_moment(const PhaseSummary &phase, const std::string &metric, const std::string &actor) {
    const LatencyPoint *worst = nullptr;
    double step = 1;
    for (const LatencySeries &series : phase.latency)
        if (series.metric == metric && (actor.empty() || actor == series.actor))
            for (const LatencyPoint &point : series.points)
                if (worst == nullptr || point.p99 > worst->p99) {
                    worst = &point;
                    step = series.step;
                }
    if (worst == nullptr)
        return "";
    const double to = worst->at + step;
    return joined({fmt::format("worst at second {:.0f} of {}", worst->at, phase.name),
                   fault_at(phase, worst->at), most_waited_for(phase, worst->at - kAround, to + kAround)});
}

std::string whole_phase(const PhaseSummary &phase) {
    const std::string waits = most_waited_for(phase, 0, phase.wall_seconds + 1);
    return waits.empty() ? "" : fmt::format("in {} {}", phase.name, waits);
}

std::string first_bad(const Summary &summary) {
    for (const PhaseSummary &phase : summary.phases)
        if (phase.stuck && !phase.stuck->why.empty())
            return phase.stuck->why.front();
    return summary.ledger.first_bad.empty() ? "" : summary.ledger.first_bad.front();
}

std::string first_error(const Summary &summary) {
    for (const PhaseSummary &phase : summary.phases)
        for (const ErrorLine &error : phase.errors)
            if (!error.expected)
                return fmt::format("{} {} x {} {}", error.actor, format_count(error.count),
                                   error.sqlstate.empty() ? "connection lost" : error.sqlstate,
                                   error.example);
    return "";
}

std::string unplanned_end(const Summary &summary) {
    for (const PhaseSummary &phase : summary.phases)
        if (phase.end != "drained" && phase.end != "sent")
            return fmt::format("phase {} ended by: {}{}", phase.name, phase.end,
                               phase.notes.empty() ? "" : "; " + phase.notes.front());
    return "";
}

std::string metric_name(const std::string &metric) {
    const std::size_t open = metric.find('(');
    const std::size_t from = open == std::string::npos ? 0 : open + 1;
    return metric.substr(from, metric.find_first_of("{,)", from) - from);
}

} // namespace

std::string cause_hint(const GateLine &gate, const Summary &summary) {
    if (gate.verdict == judge::Verdict::passed || gate.verdict == judge::Verdict::skipped)
        return "";
    if (gate.gate_class == "invariant")
        return first_bad(summary);
    if (const std::string end = unplanned_end(summary); gate.gate_class == "validity" && !end.empty())
        return end;
    const std::string metric = metric_name(gate.metric);
    if (metric.find("failed") != std::string::npos || metric == "worker_errors")
        return first_error(summary);
    const std::string named = selected(gate, "phase"), actor = selected(gate, "actor");
    for (const PhaseSummary &phase : summary.phases) {
        if (!named.empty() && phase_named(summary, named) != &phase)
            continue;
        const std::string moment = worst_moment(phase, metric, actor);
        if (const std::string hint = moment.empty() ? whole_phase(phase) : moment; !hint.empty())
            return hint;
    }
    return "";
}

} // namespace fairq::driver::report
