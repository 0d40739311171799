// csv.cpp: every point as a row, so that any tool can filter and draw.
#include <fmt/format.h>

#include "report/files.hpp"

namespace fairq::driver::report {
namespace {

/// Quoted where a comma, a quote or a line end is inside. A spreadsheet would take "=…" for a formula: an apostrophe
/// before it says that it is text.
std::string field(const std::string &text) {
    const bool formula = !text.empty() && std::string("=+-@\t\r").find(text.front()) != std::string::npos;
    const std::string value = (formula ? "'" : "") + text;
    if (value.find_first_of(",\"\r\n") == std::string::npos)
        return value;
    std::string quoted = "\"";
    for (const char c : value)
        quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
    return quoted + "\"";
}

struct Table {
    void add(const std::string &phase, double at, const std::string &what, const std::string &of,
             double value) {
        text += fmt::format("{},{:.3f},{},{},{}\r\n", field(phase), at, field(what), field(of), value);
    }

    std::string text = "phase,seconds,what,of,value\r\n";
};

void add_queue(Table &table, const PhaseSummary &phase) {
    for (const QueuePoint &point : phase.queue) {
        table.add(phase.name, point.at, "queued", "", static_cast<double>(point.queued));
        table.add(phase.name, point.at, "locked", "", static_cast<double>(point.locked));
        table.add(phase.name, point.at, "completed", "", static_cast<double>(point.completed));
        table.add(phase.name, point.at, "completed_per_second", "", point.rate);
        table.add(phase.name, point.at, "poll_ms", "", point.poll_ms);
        if (point.oldest)
            table.add(phase.name, point.at, "oldest_queued_seconds", "", *point.oldest);
    }
}

void add_system(Table &table, const std::string &phase, const SystemPoint &point) {
    for (const auto &[name, value] :
         {std::pair("server_cpu", point.server_cpu), std::pair("driver_cpu", point.driver_cpu),
          std::pair("workers_cpu", point.workers_cpu), std::pair("server_memory_bytes", point.server_memory),
          std::pair("driver_memory_bytes", point.driver_memory),
          std::pair("workers_memory_bytes", point.workers_memory),
          std::pair("server_descriptors", point.server_descriptors),
          std::pair("driver_descriptors", point.driver_descriptors),
          std::pair("wal_bytes_per_second", point.wal_rate),
          std::pair("commits_per_second", point.commit_rate), std::pair("locks_waited_for", point.locks),
          std::pair("dead_rows", point.dead_rows), std::pair("database_bytes", point.database_size),
          std::pair("horizon_age", point.horizon), std::pair("notification_queue", point.notifications),
          std::pair("connections", point.connections)})
        table.add(phase, point.at, name, "", value);
    for (const auto &[event, sessions] : point.waits)
        table.add(phase, point.at, "waiting_sessions", event, sessions);
}

void add_latency(Table &table, const std::string &phase, const LatencySeries &series) {
    for (const LatencyPoint &point : series.points)
        for (const auto &[name, value] :
             {std::pair("count", static_cast<double>(point.count)), std::pair("p50", point.p50),
              std::pair("p95", point.p95), std::pair("p99", point.p99), std::pair("max", point.max)})
            table.add(phase, point.at, series.metric + " " + name, series.actor, value);
}

} // namespace

std::string csv_report(const Summary &summary) {
    Table table;
    for (const PhaseSummary &phase : summary.phases) {
        add_queue(table, phase);
        for (const SystemPoint &point : phase.system)
            add_system(table, phase.name, point);
        for (const LatencySeries &series : phase.latency)
            add_latency(table, phase.name, series);
        for (const FaultLine &fault : phase.faults)
            table.add(phase.name, fault.from, fault.fired ? "fault" : "fault that did not happen", fault.name,
                      fault.to - fault.from);
    }
    return table.text;
}

} // namespace fairq::driver::report
