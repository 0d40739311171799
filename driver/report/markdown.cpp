// markdown.cpp: the report for a wiki or a ticket, and the summary for GitHub Actions.
#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "report/files.hpp"
#include "text.hpp"
#include "units.hpp"

namespace fairq::driver::report {
namespace {

constexpr std::size_t kMostGates = 200;       ///< of those that do not hold, before all else
constexpr std::size_t kMostBytes = 1'000'000; ///< GitHub drops a whole summary that is over a MiB

/// As plain text, also in a cell of a table: what Markdown and HTML would take for theirs is escaped.
std::string md(const std::string &text) {
    std::string escaped;
    for (const char c : printable(text)) {
        if (c == '<')
            escaped += "&lt;";
        else if (c == '>')
            escaped += "&gt;";
        else if (c == '&')
            escaped += "&amp;";
        else
            escaped += std::string_view("\\`*_{}[]|#!~").find(c) == std::string_view::npos
                           ? std::string(1, c)
                           : std::string("\\") + c;
    }
    return escaped;
}

/// As code: between so many backticks that none inside ends it.
std::string code(const std::string &text) {
    const std::string shown = printable(text);
    std::size_t longest = 0, run = 0;
    for (const char c : shown) {
        run = c == '`' ? run + 1 : 0;
        longest = std::max(longest, run);
    }
    const std::string fence(std::max<std::size_t>(3, longest + 1), '`');
    return fmt::format("{}sh\n{}\n{}\n", fence, shown, fence);
}

std::string duration_text(double seconds) {
    return format_duration(Milliseconds(static_cast<long long>(seconds * 1000)));
}

std::string gate_table(const Summary &summary, bool only_bad) {
    std::string text = "| | gate | what | limit | was | samples |\n|---|---|---|---|---|---|\n";
    std::size_t bad = 0;
    for (const GateLine *gate : worst_first(summary)) {
        const bool good = gate->verdict == judge::Verdict::passed || gate->verdict == judge::Verdict::skipped;
        if (only_bad && (good || ++bad > kMostGates))
            continue;
        std::string what = md(gate->title.empty() ? gate->metric : gate->title);
        for (const std::string &more : {gate->note, gate->hint})
            if (!more.empty() && !good)
                what += "<br>" + md(more);
        text += fmt::format(
            "| {} | {} | {} | {} | {} | {} |\n",
            good ? verdict_name(gate->verdict) : fmt::format("**{}**", verdict_name(gate->verdict)),
            md(gate->id), what, md(gate->expression), gate->value ? format_number(*gate->value) : "no value",
            format_count(gate->samples));
    }
    return text;
}

std::string ledger_table(const judge::Ledger &ledger) {
    std::string names = "|", rule = "|", values = "|";
    for (const auto &columns : {count_columns(ledger), zero_columns(ledger)})
        for (const auto &[name, count] : columns) {
            names += " " + name + " |";
            rule += "---:|";
            values += " " + format_count(count) + " |";
        }
    return names + "\n" + rule + "\n" + values + "\n";
}

std::string latency_table(const Summary &summary) {
    std::string rows;
    for (const MetricLine &line : summary.metrics) {
        if (line.spectrum.empty())
            continue;
        rows += fmt::format("| {} | {} | {} | {} |", md(line.phase), md(line.actor), md(line.name),
                            format_count(line.samples));
        for (const char *column : {"p50", "p90", "p95", "p99", "p99.9", "max"}) {
            const auto found = line.quantiles.find(column);
            rows +=
                found == line.quantiles.end() ? " - |" : fmt::format(" {} |", format_short(found->second));
        }
        rows += "\n";
    }
    return rows.empty() ? ""
                        : "| phase | actor | ms | count | p50 | p90 | p95 | p99 | p99.9 | max |\n"
                          "|---|---|---|---:|---:|---:|---:|---:|---:|---:|\n" +
                              rows;
}

std::string throughput_table(const Summary &summary) {
    std::string text = "| phase | end | jobs | jobs/s | drain s | oldest queued s | WAL/job | commits/job |\n"
                       "|---|---|---:|---:|---:|---:|---:|---:|\n";
    for (const PhaseSummary &phase : summary.phases) {
        double oldest = 0;
        for (const QueuePoint &point : phase.queue)
            oldest = std::max(oldest, point.oldest.value_or(0));
        const double seconds = phase.drain_seconds.value_or(0);
        const double jobs = static_cast<double>(phase.cost.jobs);
        const bool known = phase.cost.known && jobs > 0;
        text +=
            fmt::format("| {} | {} | {} | {} | {} | {} | {} | {} |\n", md(phase.name), md(phase.end),
                        format_count(phase.ledger.acknowledged),
                        seconds > 0 ? format_short(static_cast<double>(phase.drained_jobs) / seconds) : "-",
                        seconds > 0 ? format_short(seconds) : "-", format_short(oldest),
                        known ? format_bytes(phase.cost.wal_bytes / jobs) : "-",
                        known ? format_short(phase.cost.commits / jobs) : "-");
    }
    return text;
}

std::string fact(const std::string &name, const std::string &value) {
    return fmt::format("| {} | {} |\n", name, value);
}

std::string environment(const Summary &summary) {
    std::string text = "| | |\n|---|---|\n";
    text += fact("date", md(summary.generated_at)) + fact("duration", duration_text(summary.wall_seconds)) +
            fact("plan", md(summary.plan + (summary.profile.empty() ? "" : ", profile " + summary.profile))) +
            fact("environment",
                 md(fmt::format("PostgreSQL {}, fairq {}, {} CPUs{}", summary.server, summary.extension,
                                summary.cpus, summary.throwaway ? ", throw-away cluster" : ""))) +
            fact("database", md(summary.place)) + fact("jobs", format_count(summary.ledger.acknowledged)) +
            fact("tenants", format_count(static_cast<long long>(tenants_of(summary).size())));
    for (const auto &[name, value] : summary.settings)
        text += fact(md(name), md(value));
    return text + fact("run", md(summary.run_id)) + fact("seed", std::to_string(summary.seed));
}

std::string database_impact(const Summary &summary) {
    const Peaks peaks = peaks_of(summary);
    if (peaks.points == 0)
        return "The server was not sampled.\n";
    std::string text = "| | |\n|---|---|\n";
    if (peaks.sees_server) {
        text += fact("CPU of the server, average",
                     fmt::format("{:.2f} cores of {}", peaks.average_cpu, summary.cpus)) +
                fact("CPU of the server, peak", fmt::format("{:.2f} cores", peaks.cpu)) +
                fact("memory of the server, peak", format_bytes(peaks.memory));
    }
    return text + fact("memory of the driver, peak", format_bytes(peaks.driver_memory)) +
           fact("connections, peak", fmt::format("{:.0f}", peaks.connections)) +
           fact("locks waited for at once, peak", fmt::format("{:.0f}", peaks.locks)) +
           fact("dead rows, peak", format_count(std::llround(peaks.dead_rows))) +
           fact("size of the database, peak", format_bytes(peaks.database_size));
}

std::string stability(const Summary &summary) {
    long long errors = 0, lost_connections = 0;
    for (const PhaseSummary &phase : summary.phases)
        for (const ErrorLine &error : phase.errors) {
            errors += error.expected ? 0 : error.count;
            lost_connections +=
                error.sqlstate.empty() || error.sqlstate.compare(0, 2, "08") == 0 ? error.count : 0;
        }
    std::string text = "| | |\n|---|---|\n";
    text += fact("errors", format_count(errors)) + fact("connection errors", format_count(lost_connections)) +
            fact("reconnects of the control session", std::to_string(summary.reconnects)) +
            fact("jobs executed again", format_count(summary.ledger.executed_again));
    std::string lines;
    for (const PhaseSummary &phase : summary.phases) {
        for (const ErrorLine &error : phase.errors)
            lines += fmt::format("- {} x {} in {}: {}\n", format_count(error.count),
                                 error.sqlstate.empty() ? "connection lost" : md(error.sqlstate),
                                 md(phase.name), md(error.example));
        for (const FaultLine &fault : phase.faults)
            lines += fmt::format("- fault {} in {}, second {:.0f}: {}\n", md(fault.name), md(phase.name),
                                 fault.from, fault.fired ? "happened" : "did not happen");
        for (const std::string &note : phase.notes)
            lines += fmt::format("- {}: {}\n", md(phase.name), md(note));
    }
    return text + "\n" + lines;
}

std::string headline(const Summary &summary) {
    return fmt::format("{}: {} ({})", judge::outcome_word(summary.outcome), md(summary.plan),
                       judge::last_line(summary.tally));
}

/// What GitHub takes for a command ends at a line end; "%" begins an escape.
std::string command_text(const std::string &text, bool property) {
    std::string escaped;
    for (const char c : printable(text))
        if (c == '%')
            escaped += "%25";
        else if (property && c == ':')
            escaped += "%3A";
        else if (property && c == ',')
            escaped += "%2C";
        else
            escaped += c;
    return escaped;
}

} // namespace

std::string markdown_report(const Summary &summary) {
    std::string text = "# " + headline(summary) + "\n\n" + md(summary.description) +
                       "\n\n## What ran where\n\n" + environment(summary) + "\n## Gates\n\n" +
                       gate_table(summary, false) + "\n## Jobs\n\n" + ledger_table(summary.ledger);
    for (const std::string &bad : summary.ledger.first_bad)
        text += "\n- " + md(bad);
    text += "\n## Performance\n\n" + throughput_table(summary);
    if (const std::string latency = latency_table(summary); !latency.empty())
        text += "\n" + latency;
    text += "\n## Stability\n\n" + stability(summary) + "\n## Database impact\n\n" +
            database_impact(summary) + "\n## Conclusion\n\n**" + judge::outcome_word(summary.outcome) +
            "**: " + judge::last_line(summary.tally) + ".\n\n" + code(summary.again);
    return text;
}

std::string github_summary(const Summary &summary) {
    std::string text = "## " + headline(summary) + "\n\n";
    if (summary.outcome != judge::Outcome::pass)
        text += gate_table(summary, true) + "\n";
    const auto fold = [&](const char *title, const std::string &body) {
        const std::string block =
            fmt::format("<details><summary>{}</summary>\n\n{}\n</details>\n\n", title, body);
        if (!body.empty() && text.size() + block.size() < kMostBytes)
            text += block;
    };
    fold("All gates", gate_table(summary, false));
    fold("Jobs", ledger_table(summary.ledger));
    fold("Throughput and cost", throughput_table(summary));
    fold("Latency", latency_table(summary));
    fold("Database", database_impact(summary));
    fold("Environment", environment(summary));
    fold("Again", code(summary.again));
    return text;
}

std::string github_annotations(const Summary &summary) {
    std::string text;
    for (const GateLine *gate : worst_first(summary))
        if (gate->verdict == judge::Verdict::failed || gate->verdict == judge::Verdict::inconclusive)
            text += fmt::format(
                "::error title={}::{} was {}, wanted {}{}{}\n",
                command_text(fmt::format("{} {}: {}", summary.plan, gate->id, verdict_name(gate->verdict)),
                             true),
                command_text(gate->metric, false), gate->value ? format_number(*gate->value) : "no value",
                command_text(gate->expression, false), gate->hint.empty() ? "" : "; ",
                command_text(gate->hint, false));
    return text;
}

} // namespace fairq::driver::report
