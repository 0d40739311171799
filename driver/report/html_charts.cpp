// html_charts.cpp: what was measured over time, as charts. All of them have the same time axis, the seconds of the run,
// and the same shaded phases and faults.
#include <algorithm>
#include <functional>

#include <fmt/format.h>

#include "report/html_parts.hpp"

namespace fairq::driver::report {
namespace {

constexpr std::size_t kMostLatencies = 12;
constexpr std::size_t kMostWaits = 5;
constexpr std::size_t kMostLines = 6;

std::vector<double> starts_of(const Summary &summary) {
    std::vector<double> starts;
    double at = 0;
    for (const PhaseSummary &phase : summary.phases) {
        starts.push_back(at);
        at += phase.wall_seconds;
    }
    starts.push_back(at);
    return starts;
}

/// A chart over the time of the run, without lines.
svg::Chart over_time(const Summary &summary, const std::string &title) {
    svg::Chart chart;
    chart.title = title;
    const std::vector<double> starts = starts_of(summary);
    chart.to = std::max(starts.back(), 1.0);
    for (std::size_t i = 0; i < summary.phases.size(); ++i) {
        const PhaseSummary &phase = summary.phases[i];
        chart.windows.push_back({phase.name, starts[i], starts[i + 1], false});
        for (const FaultLine &fault : phase.faults)
            if (fault.fired)
                chart.windows.push_back({fault.name, starts[i] + fault.from, starts[i] + fault.to, true});
    }
    return chart;
}

Figure finished(const svg::Chart &chart) {
    Figure figure{chart.title, svg::chart(chart), {}};
    for (const svg::Line &line : chart.lines)
        figure.keys.push_back({line.name, {}, line.color, line.dashed, line.filled});
    return figure;
}

template <class Point>
svg::Line line_of(const Summary &summary, const std::string &name, int color,
                  std::vector<Point> PhaseSummary::*series,
                  const std::function<double(const Point &)> &value) {
    svg::Line line{name, {}, color, false, false};
    const std::vector<double> starts = starts_of(summary);
    for (std::size_t i = 0; i < summary.phases.size(); ++i)
        for (const Point &point : summary.phases[i].*series)
            line.points.emplace_back(starts[i] + point.at, value(point));
    return line;
}

svg::Line queue_line(const Summary &summary, const std::string &name, int color,
                     const std::function<double(const QueuePoint &)> &value) {
    return line_of<QueuePoint>(summary, name, color, &PhaseSummary::queue, value);
}

svg::Line system_line(const Summary &summary, const std::string &name, int color,
                      double SystemPoint::*member) {
    return line_of<SystemPoint>(summary, name, color, &PhaseSummary::system,
                                [member](const SystemPoint &point) { return point.*member; });
}

Figure throughput(const Summary &summary) {
    svg::Chart chart = over_time(summary, "Jobs completed a second");
    chart.unit = "/s";
    chart.lines = {queue_line(summary, "completed", 2, [](const QueuePoint &p) { return p.rate; })};
    chart.lines[0].filled = true;
    return finished(chart);
}

Figure backlog(const Summary &summary) {
    svg::Chart chart = over_time(summary, "Backlog: jobs that wait and run");
    chart.lines = {
        queue_line(summary, "queued", 0, [](const QueuePoint &p) { return static_cast<double>(p.queued); }),
        queue_line(summary, "running", 1, [](const QueuePoint &p) { return static_cast<double>(p.locked); })};
    chart.lines[0].filled = true;
    chart.lines[1].dashed = true;
    return finished(chart);
}

Figure oldest(const Summary &summary) {
    svg::Chart chart = over_time(summary, "Age of the oldest queued job");
    chart.unit = " s";
    chart.lines = {
        queue_line(summary, "oldest", 3, [](const QueuePoint &p) { return p.oldest.value_or(0); })};
    return finished(chart);
}

bool about_calls_alone(const std::string &metric) {
    return metric == "call_service_ms" || metric == "call_lag_ms" || metric == "schedule_lag_ms";
}

/// Metric and actor of each series, once.
std::vector<std::pair<std::string, std::string>> latencies_of(const Summary &summary) {
    std::vector<std::pair<std::string, std::string>> names;
    for (const PhaseSummary &phase : summary.phases)
        for (const LatencySeries &series : phase.latency)
            if (const auto name = std::pair(series.metric, series.actor);
                !about_calls_alone(series.metric) &&
                std::find(names.begin(), names.end(), name) == names.end())
                names.push_back(name);
    return names;
}

Figure latency(const Summary &summary, const std::string &metric, const std::string &actor) {
    svg::Chart chart = over_time(summary, fmt::format("{} of {}", metric, actor));
    chart.log_y = true;
    chart.lines = {{"p50", {}, 0, false, false},
                   {"p95", {}, 3, false, false},
                   {"p99", {}, 1, false, false},
                   {"max", {}, 5, true, false}};
    const std::vector<double> starts = starts_of(summary);
    for (std::size_t i = 0; i < summary.phases.size(); ++i)
        for (const LatencySeries &series : summary.phases[i].latency) {
            if (series.metric != metric || series.actor != actor)
                continue;
            for (const LatencyPoint &point : series.points) {
                const double values[] = {point.p50, point.p95, point.p99, point.max};
                for (std::size_t line = 0; line < chart.lines.size(); ++line)
                    chart.lines[line].points.emplace_back(starts[i] + point.at + series.step / 2,
                                                          values[line]);
            }
        }
    return finished(chart);
}

Section latencies(const Summary &summary) {
    Section section{"latency", "Latency over time", "", {}};
    const auto names = latencies_of(summary);
    for (const auto &[metric, actor] : names)
        if (section.figures.size() < kMostLatencies)
            section.figures.push_back(latency(summary, metric, actor));
    section.text = "Percentiles of each second in ms, right to 3 %; the scale is logarithmic.";
    if (names.size() > kMostLatencies)
        section.text += fmt::format(" {} more are in the CSV and JSON files.", names.size() - kMostLatencies);
    return section;
}

/// One chart for each metric: a line for each phase and actor.
Section spectra(const Summary &summary) {
    Section section{"spectrum",
                    "Percentiles",
                    "In ms: how much the slowest ones differ. Each step to the right is ten "
                    "times rarer.",
                    {}};
    std::vector<std::pair<std::string, svg::Chart>> charts;
    for (const MetricLine &line : summary.metrics) {
        if (line.spectrum.empty() || about_calls_alone(line.name))
            continue;
        auto found = std::find_if(charts.begin(), charts.end(),
                                  [&](const auto &chart) { return chart.first == line.name; });
        if (found == charts.end()) {
            svg::Chart chart;
            chart.title = line.name;
            chart.percentiles = chart.log_y = true;
            chart.from = 1;
            found = charts.insert(charts.end(), {line.name, chart});
        }
        svg::Chart &chart = found->second;
        if (chart.lines.size() >= kMostLines)
            continue;
        svg::Line drawn{fmt::format("{} {}", line.phase, line.actor),
                        {},
                        static_cast<int>(chart.lines.size()),
                        chart.lines.size() % 2 == 1,
                        false};
        for (const auto &[percentile, value] : line.spectrum)
            if (percentile < 100)
                drawn.points.emplace_back(1 / (1 - percentile / 100), value);
        if (!drawn.points.empty())
            chart.to = std::max(chart.to, drawn.points.back().first);
        chart.lines.push_back(drawn);
    }
    for (const auto &[name, chart] : charts)
        section.figures.push_back(finished(chart));
    return section;
}

Figure waits(const Summary &summary) {
    svg::Chart chart = over_time(summary, "What sessions did: ran on CPU, or waited for …");
    chart.stacked = true;
    std::vector<std::string> common;
    for (const auto &[event, share] : waits_of(summary))
        if (common.size() < kMostWaits)
            common.push_back(event);
    int color = 0;
    for (const std::string &event : common) {
        chart.lines.push_back(line_of<SystemPoint>(summary, event, color++, &PhaseSummary::system,
                                                   [&event](const SystemPoint &point) {
                                                       const auto found = point.waits.find(event);
                                                       return found == point.waits.end() ? 0 : found->second;
                                                   }));
        chart.lines.back().filled = true;
    }
    chart.lines.push_back(line_of<SystemPoint>(
        summary, "all else", color, &PhaseSummary::system, [&common](const SystemPoint &point) {
            double sum = 0;
            for (const auto &[event, sessions] : point.waits)
                if (std::find(common.begin(), common.end(), event) == common.end())
                    sum += sessions;
            return sum;
        }));
    chart.lines.back().filled = true;
    return finished(chart);
}

Figure system_figure(const Summary &summary, const std::string &title, const std::string &unit,
                     const std::vector<std::pair<std::string, double SystemPoint::*>> &members, bool bytes) {
    svg::Chart chart = over_time(summary, title);
    chart.unit = unit;
    if (bytes)
        chart.format_y = format_bytes;
    for (const auto &[name, member] : members) {
        chart.lines.push_back(system_line(summary, name, static_cast<int>(chart.lines.size()), member));
        chart.lines.back().dashed = chart.lines.size() % 2 == 0;
    }
    return finished(chart);
}

bool any_workers(const Summary &summary) {
    for (const PhaseSummary &phase : summary.phases)
        for (const SystemPoint &point : phase.system)
            if (point.workers_memory > 0)
                return true;
    return false;
}

Section machine(const Summary &summary) {
    Section section{"server", "Server and processes", "", {}};
    const bool workers = any_workers(summary);
    std::vector<std::pair<std::string, double SystemPoint::*>> cpu{{"server", &SystemPoint::server_cpu},
                                                                   {"driver", &SystemPoint::driver_cpu}};
    std::vector<std::pair<std::string, double SystemPoint::*>> memory{
        {"server", &SystemPoint::server_memory}, {"driver", &SystemPoint::driver_memory}};
    if (workers) {
        cpu.emplace_back("workers", &SystemPoint::workers_cpu);
        memory.emplace_back("workers", &SystemPoint::workers_memory);
    }
    section.figures = {
        waits(summary),
        system_figure(summary, "CPU: cores used", "", cpu, false),
        system_figure(summary, "Memory, without what processes share", "", memory, true),
        system_figure(summary, "WAL", "/s", {{"WAL", &SystemPoint::wal_rate}}, true),
        system_figure(summary, "Commits a second", "/s", {{"commits", &SystemPoint::commit_rate}}, false),
        system_figure(summary, "Connections, and locks waited for", "",
                      {{"connections", &SystemPoint::connections}, {"locks waited for", &SystemPoint::locks}},
                      false),
        system_figure(summary, "Dead rows of the queue's tables, and the horizon's age in transactions", "",
                      {{"dead rows", &SystemPoint::dead_rows}, {"horizon", &SystemPoint::horizon}}, false),
        system_figure(summary, "Size of the database", "", {{"database", &SystemPoint::database_size}},
                      true)};
    for (const PhaseSummary &phase : summary.phases)
        if (!phase.sees_server && section.text.empty())
            section.text =
                "The server's processes could not be seen from the driver: its CPU and memory are missing.";
    return section;
}

bool any_system(const Summary &summary) {
    return std::any_of(summary.phases.begin(), summary.phases.end(),
                       [](const PhaseSummary &phase) { return !phase.system.empty(); });
}

} // namespace

std::vector<Section> html_sections(const Summary &summary) {
    std::vector<Section> sections;
    if (summary.phases.empty())
        return sections;
    Section queue{"queue",
                  "Throughput and backlog",
                  "Grey: every other phase. Red: a fault, until what it hit was there again.",
                  {}};
    queue.figures = {throughput(summary), backlog(summary), oldest(summary)};
    sections.push_back(queue);
    if (Section section = latencies(summary); !section.figures.empty())
        sections.push_back(section);
    if (Section section = spectra(summary); !section.figures.empty())
        sections.push_back(section);
    if (any_system(summary))
        sections.push_back(machine(summary));
    return sections;
}

} // namespace fairq::driver::report
