// html_tables.cpp: what was measured, as tables.
#include <algorithm>

#include <fmt/format.h>

#include "report/html_parts.hpp"
#include "units.hpp"

namespace fairq::driver::report {
namespace {

constexpr std::size_t kMostTenants = 50;

Cell number(const std::string &text) {
    return {text, true, {}};
}

Cell count(long long value) {
    return number(format_count(value));
}

Cell per_job(bool known, double whole, long long jobs, bool bytes = false) {
    if (!known || jobs == 0)
        return number("–");
    const double each = whole / static_cast<double>(jobs);
    return number(bytes ? format_bytes(each) : format_short(each));
}

std::string seconds(double value) {
    return format_duration(Milliseconds(static_cast<long long>(value * 1000)));
}

Table phases(const Summary &summary) {
    Table table{"phases",
                "Phases",
                "",
                {{"phase"},
                 {"end"},
                 {"took", true},
                 {"jobs", true},
                 {"jobs/s", true},
                 {"drain s", true},
                 {"ticks", true},
                 {"executed again", true}},
                {}};
    for (const PhaseSummary &phase : summary.phases) {
        const double drain = phase.drain_seconds.value_or(0);
        table.rows.push_back(
            {{phase.name},
             {phase.end},
             number(seconds(phase.wall_seconds)),
             count(phase.ledger.acknowledged),
             number(drain > 0 ? format_short(static_cast<double>(phase.drained_jobs) / drain) : "–"),
             number(drain > 0 ? format_short(drain) : "–"),
             count(phase.ticks),
             count(phase.ledger.executed_again)});
    }
    return table;
}

Table costs(const Summary &summary) {
    Table table{
        "cost",
        "Cost of a job",
        "What the server did while the load went on, over the completed jobs of the phase. WAL is the whole "
        "server's, buffers and commits are the database's.",
        {{"phase"},
         {"jobs", true},
         {"WAL", true},
         {"buffers", true},
         {"commits", true},
         {"round trips", true}},
        {}};
    for (const PhaseSummary &phase : summary.phases) {
        const CostLine &cost = phase.cost;
        table.rows.push_back({{phase.name},
                              count(cost.jobs),
                              per_job(cost.known, cost.wal_bytes, cost.jobs, true),
                              per_job(cost.known, cost.buffers, cost.jobs),
                              per_job(cost.known, cost.commits, cost.jobs),
                              per_job(cost.round_trips > 0, cost.round_trips, cost.jobs)});
    }
    return table;
}

Table latencies(const Summary &summary) {
    Table table{"percentiles",
                "Latency in ms",
                "",
                {{"phase"},
                 {"actor"},
                 {"metric"},
                 {"count", true},
                 {"p50", true},
                 {"p90", true},
                 {"p95", true},
                 {"p99", true},
                 {"p99.9", true},
                 {"max", true}},
                {}};
    for (const MetricLine &line : summary.metrics) {
        if (line.spectrum.empty())
            continue;
        std::vector<Cell> row{{line.phase}, {line.actor}, {line.name}, count(line.samples)};
        for (const char *name : {"p50", "p90", "p95", "p99", "p99.9", "max"}) {
            const auto found = line.quantiles.find(name);
            row.push_back(number(found == line.quantiles.end() ? "–" : format_short(found->second)));
        }
        table.rows.push_back(row);
    }
    return table;
}

Table faults(const Summary &summary) {
    Table table{"faults",
                "Faults",
                "",
                {{"phase"}, {"fault"}, {"from second", true}, {"to second", true}, {"happened"}},
                {}};
    for (const PhaseSummary &phase : summary.phases)
        for (const FaultLine &fault : phase.faults)
            table.rows.push_back({{phase.name},
                                  {fault.name},
                                  number(format_short(fault.from)),
                                  number(format_short(fault.to)),
                                  {fault.fired ? "yes" : "no"}});
    return table;
}

Table errors(const Summary &summary) {
    Table table{"errors",
                "Errors by SQLSTATE",
                "",
                {{"phase"}, {"actor"}, {"SQLSTATE"}, {"count", true}, {"first of them"}},
                {}};
    for (const PhaseSummary &phase : summary.phases)
        for (const ErrorLine &error : phase.errors)
            table.rows.push_back(
                {{phase.name},
                 {error.actor},
                 {fmt::format("{}{}", error.sqlstate.empty() ? "connection lost" : error.sqlstate,
                              error.expected ? " (expected)" : "")},
                 count(error.count),
                 {error.example}});
    return table;
}

/// Those with most jobs, and the others together.
Table tenants(const Summary &summary) {
    Table table{"tenants",
                "Fairness: jobs of tenants",
                "",
                {{"tenant"}, {"completed", true}, {"of", true}, {""}},
                {}};
    std::vector<std::pair<std::string, std::pair<long long, long long>>> sorted;
    for (const auto &tenant : tenants_of(summary))
        sorted.push_back(tenant);
    std::stable_sort(sorted.begin(), sorted.end(),
                     [](const auto &a, const auto &b) { return a.second.first > b.second.first; });
    if (sorted.empty())
        return table;
    const auto most = static_cast<double>(sorted.front().second.first);
    const auto add = [&](const std::string &name, long long jobs, long long done, bool bar) {
        table.rows.push_back(
            {{name},
             count(done),
             count(jobs),
             {"", false,
              bar ? svg::share_bar(static_cast<double>(done), static_cast<double>(jobs), most) : ""}});
    };
    long long jobs = 0, done = 0;
    for (std::size_t i = 0; i < sorted.size(); ++i) {
        if (i < kMostTenants)
            add(sorted[i].first, sorted[i].second.first, sorted[i].second.second, true);
        else {
            jobs += sorted[i].second.first;
            done += sorted[i].second.second;
        }
    }
    if (sorted.size() > kMostTenants)
        add(fmt::format("{} others", sorted.size() - kMostTenants), jobs, done, false);
    return table;
}

Table metrics(const Summary &summary) {
    Table table{"metrics",
                "All metrics",
                "",
                {{"metric"},
                 {"phase"},
                 {"actor"},
                 {"samples", true},
                 {"value or p50", true},
                 {"p95", true},
                 {"max", true}},
                {}};
    const auto quantile = [](const MetricLine &line, const char *name) {
        const auto found = line.quantiles.find(name);
        return number(found == line.quantiles.end() ? "" : format_short(found->second));
    };
    for (const MetricLine &line : summary.metrics)
        table.rows.push_back(
            {{line.name},
             {line.phase},
             {line.actor},
             count(line.samples),
             line.type == "trend" ? quantile(line, "p50") : number(format_number(line.value)),
             quantile(line, "p95"),
             quantile(line, "max")});
    return table;
}

} // namespace

std::vector<Table> html_tables(const Summary &summary) {
    std::vector<Table> tables;
    for (Table &table :
         std::vector<Table>{tenants(summary), errors(summary), faults(summary), phases(summary),
                            costs(summary), latencies(summary), metrics(summary)})
        if (!table.rows.empty())
            tables.push_back(std::move(table));
    return tables;
}

} // namespace fairq::driver::report
