// summary.cpp: what every format asks of a summary.
#include "report/summary.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include <fmt/format.h>

#include "units.hpp"

namespace fairq::driver::report {
namespace {

int urgency(const GateLine &gate) {
    if (gate.verdict == judge::Verdict::failed)
        return gate.gate_class == "invariant" ? 0 : 1;
    return gate.verdict == judge::Verdict::inconclusive ? 2 : gate.verdict == judge::Verdict::skipped ? 3 : 4;
}

} // namespace

Summary never_started(judge::Outcome outcome, const std::string &message, const std::string &plan) {
    Summary summary;
    summary.outcome = outcome;
    summary.plan = plan;
    GateLine gate;
    gate.id = "START";
    gate.metric = gate.title = "the run begins";
    gate.gate_class = "validity";
    gate.note = message;
    summary.gates.push_back(gate);
    summary.tally.failed = summary.tally.inconclusive = 1;
    return summary;
}

std::vector<const GateLine *> worst_first(const Summary &summary) {
    std::vector<const GateLine *> gates;
    for (const GateLine &gate : summary.gates)
        gates.push_back(&gate);
    std::stable_sort(gates.begin(), gates.end(),
                     [](const GateLine *a, const GateLine *b) { return urgency(*a) < urgency(*b); });
    return gates;
}

std::string selected(const GateLine &gate, const std::string &tag) {
    if (gate.selectors.empty())
        return "";
    const auto found = gate.selectors.front().find(tag);
    return found == gate.selectors.front().end() ? "" : found->second;
}

/// The first six always; not every run looks for the others, which show when there is something to show.
std::vector<std::pair<std::string, long long>> zero_columns(const judge::Ledger &ledger) {
    std::vector<std::pair<std::string, long long>> columns{
        {"lost", ledger.lost},   {"duplicated", ledger.duplicated}, {"unexpected", ledger.unexpected},
        {"stuck", ledger.stuck}, {"outbox", ledger.outbox},         {"dead", ledger.dead}};
    for (const auto &[name, count] :
         {std::pair("early", ledger.early), std::pair("out of order", ledger.out_of_order),
          std::pair("leaks", ledger.leaks), std::pair("over a cap", ledger.cap_violations),
          std::pair("over a key", ledger.key_violations), std::pair("locked twice", ledger.lease_overlaps)})
        if (count != 0)
            columns.emplace_back(name, count);
    return columns;
}

std::vector<std::pair<std::string, long long>> count_columns(const judge::Ledger &ledger) {
    std::vector<std::pair<std::string, long long>> columns{{"attempted", ledger.attempted},
                                                           {"acknowledged", ledger.acknowledged},
                                                           {"unknown", ledger.unknown},
                                                           {"completed", ledger.completed}};
    for (const auto &[name, count] :
         {std::pair("executed again", ledger.executed_again), std::pair("refused", ledger.failed),
          std::pair("foreign", ledger.foreign), std::pair("unfinished", ledger.unfinished),
          std::pair("recovered", ledger.recovered), std::pair("vanished", ledger.vanished)})
        if (count != 0)
            columns.emplace_back(name, count);
    return columns;
}

std::map<std::string, std::pair<long long, long long>> tenants_of(const Summary &summary) {
    std::map<std::string, std::pair<long long, long long>> tenants;
    for (std::size_t i = 0; i < summary.phases.size(); ++i) {
        if (i + 1 < summary.phases.size() && summary.phases[i + 1].goes_on)
            continue; // the next one's account contains it
        const judge::Ledger &ledger = summary.phases[i].ledger;
        for (const auto &[tenant, jobs] : ledger.tenant_jobs)
            tenants[tenant].first += jobs;
        for (const auto &[tenant, jobs] : ledger.tenant_completed)
            tenants[tenant].second += jobs;
    }
    return tenants;
}

Peaks peaks_of(const Summary &summary) {
    Peaks peaks;
    double cpu = 0;
    for (const PhaseSummary &phase : summary.phases) {
        peaks.sees_server = peaks.sees_server || phase.sees_server;
        for (const SystemPoint &point : phase.system) {
            ++peaks.points;
            cpu += point.server_cpu;
            for (const auto &[most, value] :
                 {std::pair(&peaks.cpu, point.server_cpu), std::pair(&peaks.memory, point.server_memory),
                  std::pair(&peaks.driver_memory, point.driver_memory),
                  std::pair(&peaks.connections, point.connections), std::pair(&peaks.locks, point.locks),
                  std::pair(&peaks.dead_rows, point.dead_rows),
                  std::pair(&peaks.database_size, point.database_size)})
                *most = std::max(*most, value);
        }
    }
    peaks.average_cpu = peaks.points == 0 ? 0 : cpu / static_cast<double>(peaks.points);
    return peaks;
}

std::vector<std::pair<std::string, double>> waits_of(const Summary &summary) {
    std::map<std::string, double> sums;
    double all = 0;
    for (const PhaseSummary &phase : summary.phases)
        for (const SystemPoint &point : phase.system)
            for (const auto &[event, sessions] : point.waits) {
                sums[event] += sessions;
                all += sessions;
            }
    std::vector<std::pair<std::string, double>> shares;
    for (const auto &[event, sum] : sums)
        shares.emplace_back(event, all > 0 ? sum / all : 0);
    std::stable_sort(shares.begin(), shares.end(),
                     [](const auto &a, const auto &b) { return a.second > b.second; });
    return shares;
}

std::string format_bytes(double bytes) {
    static constexpr std::array<const char *, 5> kUnits{"B", "kB", "MB", "GB", "TB"};
    std::size_t unit = 0;
    for (; std::abs(bytes) >= 1024 && unit + 1 < kUnits.size(); ++unit)
        bytes /= 1024;
    return fmt::format("{} {}", unit == 0 ? format_count(std::llround(bytes)) : format_short(bytes),
                       kUnits[unit]);
}

std::string format_short(double number) {
    if (!std::isfinite(number))
        return format_number(number);
    const double size = std::abs(number);
    const double scale = size >= 100 ? 1 : size >= 10 ? 10 : size >= 1 ? 100 : 1000;
    return format_number(std::round(number * scale) / scale);
}

std::string unit_of(const std::string &metric) {
    const auto ends = [&](std::string_view end) {
        return metric.size() >= end.size() &&
               metric.compare(metric.size() - end.size(), end.size(), end) == 0;
    };
    return ends("_ms")                     ? " ms"
           : ends("_seconds")              ? " s"
           : ends("_mb")                   ? " MB"
           : ends("per_second")            ? " /s"
           : metric == "wal_bytes_per_job" ? " B"
           : metric == "server_cpu"        ? " cores"
                                           : "";
}

const char *verdict_name(judge::Verdict verdict) {
    static constexpr std::array<const char *, 4> kNames{"pass", "fail", "inconclusive", "skipped"};
    return kNames.at(static_cast<std::size_t>(verdict));
}

} // namespace fairq::driver::report
