// terminal.cpp: see terminal.hpp.
#include "report/terminal.hpp"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "report/terminal_page.hpp"
#include "text.hpp"
#include "units.hpp"

namespace fairq::driver::report {
namespace {

constexpr std::size_t kTitleWidth = 44;
constexpr std::size_t kHintIndent = 11;

struct Word {
    const char *symbol;
    const char *text;
    const char *color;
};

Word verdict_word(judge::Verdict verdict) {
    switch (verdict) {
    case judge::Verdict::passed:
        return {"\u2713", "pass", "32"};
    case judge::Verdict::failed:
        return {"\u2717", "FAIL", "31"};
    case judge::Verdict::inconclusive:
        return {"?", "OPEN", "33"};
    case judge::Verdict::skipped:
        return {"-", "skip", "0"};
    }
    return {"?", "?", "0"};
}

const char *outcome_color(judge::Outcome outcome) {
    if (outcome == judge::Outcome::pass)
        return "1;32";
    return outcome == judge::Outcome::broken || outcome == judge::Outcome::fail ? "1;31" : "1;33";
}

std::string duration_text(double seconds) {
    return format_duration(Milliseconds(static_cast<long long>(seconds * 1000)));
}

/// The text in so many columns: blanks are added, or its end is left out.
std::string cell(const std::string &text, std::size_t columns) {
    const std::string shown = clipped(printable(text), columns, true);
    return shown + std::string(columns - std::min(columns, columns_of(shown)), ' ');
}

void heading(TerminalPage &page, const Summary &summary) {
    const std::string word = judge::outcome_word(summary.outcome);
    std::string text = fmt::format("{}  {}   {}", word, summary.plan, duration_text(summary.wall_seconds));
    if (!summary.profile.empty())
        text += "   profile " + summary.profile;
    text += fmt::format("   seed {}   run {}{}", summary.seed, summary.run_id,
                        summary.throwaway ? "   throw-away cluster" : "");
    page.paragraph(text, 6, outcome_color(summary.outcome), word.size());
    std::string server = fmt::format("      PostgreSQL {}, fairq {}", summary.server, summary.extension);
    if (!summary.cron.empty())
        server += ", pg_cron " + summary.cron;
    server += fmt::format(", {} cpu", summary.cpus);
    for (const char *name : {"fsync", "synchronous_commit"})
        if (const auto found = summary.settings.find(name); found != summary.settings.end())
            server += fmt::format(", {} {}", name, found->second);
    page.paragraph(server, 6);
}

void gate_line(TerminalPage &page, const GateLine &gate) {
    const Word word = verdict_word(gate.verdict);
    const bool symbols = page.style().symbols;
    const std::string mark =
        symbols ? fmt::format("   {} {}", word.symbol, word.text) : fmt::format("   {}", word.text);
    const std::string value = gate.value ? "was " + format_number(*gate.value) : "no value";
    const std::string title = gate.title.empty() ? gate.metric : gate.title;
    std::string text =
        page.wide() ? fmt::format("{}  {:<6} {}  {:<12} {:<12} ({})", mark, gate.id, cell(title, kTitleWidth),
                                  gate.expression, value, format_count(gate.samples))
                    : fmt::format("{}  {} {}: {}, {} ({} samples)", mark, gate.id, title, gate.expression,
                                  value, format_count(gate.samples));
    page.paragraph(text, kHintIndent, word.color, mark.size());
    const std::string before(kHintIndent, ' ');
    if (!gate.note.empty() && gate.verdict != judge::Verdict::skipped)
        page.paragraph(before + gate.note, kHintIndent);
    if (!gate.hint.empty())
        page.paragraph(before + gate.hint, kHintIndent);
}

bool holds(const GateLine &gate) {
    return gate.verdict == judge::Verdict::passed || gate.verdict == judge::Verdict::skipped;
}

void gates(TerminalPage &page, const Summary &summary) {
    const judge::Tally &counts = summary.tally;
    std::vector<std::string> items{fmt::format("{} passed", counts.passed),
                                   fmt::format("{} failed", counts.failed - counts.inconclusive),
                                   fmt::format("{} inconclusive", counts.inconclusive)};
    if (counts.skipped > 0)
        items.push_back(fmt::format("{} skipped", counts.skipped));
    items.emplace_back("(number of samples)");
    page.line();
    page.items("GATES", items);
    for (const GateLine *gate : worst_first(summary))
        gate_line(page, *gate);
}

std::vector<std::string> with_names(const std::vector<std::pair<std::string, long long>> &columns) {
    std::vector<std::string> items;
    for (const auto &[name, count] : columns)
        items.push_back(fmt::format("{} {}", name, format_count(count)));
    return items;
}

void ledger(TerminalPage &page, const Summary &summary) {
    page.line();
    page.items("LEDGER", with_names(count_columns(summary.ledger)));
    page.items("", with_names(zero_columns(summary.ledger)));
    for (const std::string &bad : summary.ledger.first_bad)
        page.paragraph("      " + bad, 8);
}

void faults(TerminalPage &page, const Summary &summary) {
    std::vector<std::string> items;
    for (const PhaseSummary &phase : summary.phases) {
        std::map<std::string, std::pair<int, double>> by_name; // how many happened, the longest
        std::map<std::string, int> planned;
        for (const FaultLine &fault : phase.faults) {
            ++planned[fault.name];
            auto &[fired, longest] = by_name[fault.name];
            fired += fault.fired ? 1 : 0;
            longest = std::max(longest, fault.fired ? fault.to - fault.from : 0);
        }
        for (const auto &[name, seen] : by_name)
            items.push_back(fmt::format("{} {}/{} fired, longest {}", name, seen.first, planned[name],
                                        duration_text(seen.second)));
    }
    if (items.empty())
        return;
    page.line();
    page.items("FAULTS", items);
}

void latency(TerminalPage &page, const Summary &summary) {
    static const char *const kColumns[] = {"p50", "p90", "p95", "p99", "p99.9", "max"};
    bool first = true;
    for (const MetricLine &line : summary.metrics) {
        if (line.spectrum.empty())
            continue;
        if (first) {
            page.line();
            page.line(page.wide()
                          ? fmt::format("  {:<13} {:<12} {:<16} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8}",
                                        "LATENCY ms", "actor", "", "p50", "p90", "p95", "p99", "p99.9", "max")
                          : std::string("  LATENCY ms"));
        }
        first = false;
        std::string row =
            fmt::format("   {} {} {}", cell(line.phase, 12), cell(line.actor, 12), cell(line.name, 16));
        std::vector<std::string> items;
        for (const char *column : kColumns) {
            const auto found = line.quantiles.find(column);
            const std::string value =
                found == line.quantiles.end() ? "-" : fmt::format("{:.1f}", found->second);
            row += fmt::format(" {:>8}", value);
            items.push_back(fmt::format("{} {}", column, value));
        }
        if (page.wide())
            page.line(row);
        else {
            page.paragraph(fmt::format("  {} {} {}", line.phase, line.actor, line.name), 4);
            page.items("", items);
        }
    }
}

std::string range_text(const PhaseSummary &phase) {
    if (phase.ledger.tenant_jobs.empty())
        return "-";
    long long least = -1, most = 0;
    for (const auto &[tenant, jobs] : phase.ledger.tenant_jobs) {
        const auto found = phase.ledger.tenant_completed.find(tenant);
        const long long done = found == phase.ledger.tenant_completed.end() ? 0 : found->second;
        least = least < 0 ? done : std::min(least, done);
        most = std::max(most, done);
    }
    return fmt::format("{}-{}", format_count(least), format_count(most));
}

void throughput(TerminalPage &page, const Summary &summary) {
    page.line();
    if (page.wide())
        page.line(fmt::format("  {:<13} {:<11} {:>9} {:>7} {:>9} {:>9} {:>9} {:>12} {:>9}", "THROUGHPUT",
                              "end", "jobs", "ticks", "jobs/tick", "drain s", "jobs/s", "jobs/tenant",
                              "oldest s"));
    else
        page.line("  THROUGHPUT");
    for (const PhaseSummary &phase : summary.phases) {
        const double seconds = phase.drain_seconds.value_or(0);
        const double rate = seconds > 0 ? static_cast<double>(phase.drained_jobs) / seconds : 0;
        const double per_tick =
            phase.ticks == 0 ? 0 : static_cast<double>(phase.tick_jobs) / static_cast<double>(phase.ticks);
        double oldest = 0;
        for (const QueuePoint &point : phase.queue)
            oldest = std::max(oldest, point.oldest.value_or(0));
        if (page.wide()) {
            page.line(fmt::format("   {} {:<11} {:>9} {:>7} {:>9.1f} {:>9.2f} {:>9.1f} {:>12} {:>9.1f}",
                                  cell(phase.name, 12), phase.end, format_count(phase.ledger.acknowledged),
                                  format_count(phase.ticks), per_tick, seconds, rate, range_text(phase),
                                  oldest));
            continue;
        }
        page.paragraph(fmt::format("  {}: {}", phase.name, phase.end), 4);
        page.items("", {fmt::format("{} jobs", format_count(phase.ledger.acknowledged)),
                        fmt::format("{:.1f} jobs/s", rate), fmt::format("drain {:.2f} s", seconds),
                        fmt::format("{} ticks", format_count(phase.ticks)),
                        fmt::format("jobs/tenant {}", range_text(phase)),
                        fmt::format("oldest {:.1f} s", oldest)});
    }
}

void cost(TerminalPage &page, const Summary &summary) {
    bool first = true;
    for (const PhaseSummary &phase : summary.phases) {
        const CostLine &cost = phase.cost;
        if (cost.jobs == 0 || (!cost.known && cost.round_trips == 0))
            continue;
        const auto each = [&](double whole) { return whole / static_cast<double>(cost.jobs); };
        std::vector<std::string> items{cell(phase.name, 10)};
        if (cost.known) {
            items.push_back("WAL " + format_bytes(each(cost.wal_bytes)));
            items.push_back("buffers " + format_short(each(cost.buffers)));
            items.push_back("commits " + format_short(each(cost.commits)));
        }
        if (cost.round_trips > 0)
            items.push_back("round trips " + format_short(each(cost.round_trips)));
        if (first)
            page.line();
        page.items(first ? "COST per job" : "", items);
        first = false;
    }
}

void machine(TerminalPage &page, const Summary &summary) {
    constexpr std::size_t kMostWaits = 3;
    const Peaks peaks = peaks_of(summary);
    if (peaks.points == 0)
        return;
    std::vector<std::string> items;
    if (peaks.sees_server)
        items = {fmt::format("CPU up to {:.2f} cores", peaks.cpu),
                 "memory up to " + format_bytes(peaks.memory)};
    items.push_back(fmt::format("connections up to {:.0f}", peaks.connections));
    items.push_back(fmt::format("locks waited for up to {:.0f}", peaks.locks));
    items.push_back("driver " + format_bytes(peaks.driver_memory));
    const auto waits = waits_of(summary);
    for (std::size_t i = 0; i < std::min(kMostWaits, waits.size()); ++i)
        items.push_back(fmt::format("{} {:.0f} %", waits[i].first, 100 * waits[i].second));
    page.line();
    page.items("SERVER", items);
}

void errors(TerminalPage &page, const Summary &summary) {
    std::vector<std::string> lines;
    for (const PhaseSummary &phase : summary.phases)
        for (const ErrorLine &error : phase.errors)
            lines.push_back(fmt::format("{} {} x {}{}: {}", phase.name, format_count(error.count),
                                        error.sqlstate.empty() ? "connection lost" : error.sqlstate,
                                        error.expected ? " (expected)" : "", error.example));
    if (lines.empty())
        return;
    page.line();
    page.list("ERRORS", lines);
}

void troubles(TerminalPage &page, const Summary &summary) {
    for (const PhaseSummary &phase : summary.phases) {
        std::vector<std::string> lines = phase.notes;
        const auto add = [&](const char *what, const std::vector<std::string> &sentences) {
            for (const std::string &sentence : sentences)
                lines.push_back(fmt::format("{}: {}", what, sentence));
        };
        if (phase.stuck) {
            add("why", phase.stuck->why);
            add("jobs", phase.stuck->counts);
            add("held", phase.stuck->oldest_locked);
            add("errors", phase.stuck->worker_errors);
            add("last ticks", phase.stuck->last_ticks);
        }
        if (phase.missed_samples > 0)
            lines.push_back(fmt::format("{} samples of the queue missed", phase.missed_samples));
        if (phase.system_missed > 0)
            lines.push_back(fmt::format("{} samples of the server missed", phase.system_missed));
        if (lines.empty())
            continue;
        page.line();
        page.list("PHASE " + phase.name, lines);
    }
    if (!summary.notes.empty()) {
        page.line();
        page.list("LEFT", summary.notes);
    }
    if (summary.reconnects > 0) {
        page.line();
        page.paragraph(fmt::format("  the server went away and came back: {} reconnects", summary.reconnects),
                       4);
    }
}

} // namespace

std::string text_report(const Summary &summary, const TextStyle &style,
                        const std::vector<std::string> &files) {
    TerminalPage page(style);
    heading(page, summary);
    if (style.quiet) {
        for (const GateLine *gate : worst_first(summary))
            if (!holds(*gate))
                gate_line(page, *gate);
    } else {
        gates(page, summary);
        ledger(page, summary);
        faults(page, summary);
        latency(page, summary);
        throughput(page, summary);
        cost(page, summary);
        machine(page, summary);
        errors(page, summary);
        troubles(page, summary);
        page.line();
        page.list("FILES", files);
        page.command("AGAIN", summary.again);
    }
    return page.text() + judge::last_line(summary.tally) + "\n";
}

} // namespace fairq::driver::report
