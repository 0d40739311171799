// text.cpp: the text report, at most 100 columns wide. The last line is alone and
// plain, so that any CI can read it.
#include "report/report.hpp"

#include <algorithm>
#include <thread>

#include <fmt/format.h>

namespace fairq::driver::report {
namespace {

constexpr std::size_t kTitleWidth = 44;
constexpr std::size_t kWidth = 100;

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

std::string painted(const std::string &text, const char *color, const TextStyle &style) {
    return style.color ? fmt::format("\033[{}m{}\033[0m", color, text) : text;
}

const char *outcome_color(judge::Outcome outcome) {
    if (outcome == judge::Outcome::pass)
        return "1;32";
    return outcome == judge::Outcome::broken || outcome == judge::Outcome::fail ? "1;31" : "1;33";
}

std::string duration_text(double seconds) {
    return format_duration(Milliseconds(static_cast<long long>(seconds * 1000)));
}

std::string clipped(const std::string &text) {
    return text.size() <= kWidth ? text : text.substr(0, kWidth - 3) + "...";
}

std::string heading(const engine::RunResult &run, const TextStyle &style) {
    std::string text = painted(judge::outcome_word(run.outcome), outcome_color(run.outcome), style);
    text += fmt::format("  {}   {}", run.plan->name, duration_text(run.wall_seconds));
    if (!run.plan->profile.empty())
        text += "   profile " + run.plan->profile;
    text += fmt::format("   seed {}   run {}{}\n", run.seed, run.run_id,
                        run.throwaway ? "   throw-away cluster" : "");
    std::string server =
        fmt::format("      PostgreSQL {}, fairq {}", run.server.version, run.server.extension);
    if (!run.cron_version.empty())
        server += ", pg_cron " + run.cron_version;
    server += fmt::format(", {} cpu", std::thread::hardware_concurrency());
    for (const char *name : {"fsync", "synchronous_commit"})
        if (const auto found = run.server.settings.find(name); found != run.server.settings.end())
            server += fmt::format(", {} {}", name, found->second);
    return text + clipped(server) + "\n";
}

std::string criterion(const judge::GateResult &result, const TextStyle &style) {
    const Word word = verdict_word(result.verdict);
    const std::string mark = style.symbols ? fmt::format("{} {}", word.symbol, word.text) : word.text;
    const std::string value = result.value ? "was " + format_number(*result.value) : "no value";
    std::string line =
        fmt::format("   {}  {:<7}{:<{}}  {:<12} {:<12} ({})\n", painted(mark, word.color, style),
                    result.gate.id, result.gate.title.substr(0, kTitleWidth), kTitleWidth,
                    result.gate.expression, value, format_count(static_cast<long long>(result.samples)));
    if (!result.note.empty() && result.verdict != judge::Verdict::skipped)
        line += clipped(fmt::format("           {}", result.note)) + "\n";
    return line;
}

std::string criteria(const engine::RunResult &run, const TextStyle &style) {
    const judge::Tally counts = judge::tally(run.gates);
    std::string text =
        fmt::format("\n  CRITERIA      {} passed, {} failed, {} inconclusive{}   (number of samples)\n",
                    counts.passed, counts.failed - counts.inconclusive, counts.inconclusive,
                    counts.skipped > 0 ? fmt::format(", {} skipped", counts.skipped) : "");
    for (const judge::GateResult &result : run.gates)
        text += criterion(result, style);
    return text;
}

std::string ledger_block(const judge::Ledger &ledger) {
    std::string text = fmt::format(
        "\n  LEDGER        attempted {}   acknowledged {}   unknown {}   completed {}\n"
        "                lost {}   duplicated {}   unexpected {}   stuck {}   outbox {}   dead {}",
        format_count(ledger.attempted), format_count(ledger.acknowledged), format_count(ledger.unknown),
        format_count(ledger.completed), format_count(ledger.lost), format_count(ledger.duplicated),
        format_count(ledger.unexpected), format_count(ledger.stuck), format_count(ledger.outbox),
        format_count(ledger.dead));
    if (ledger.failed > 0)
        text += fmt::format("   refused {}", format_count(ledger.failed));
    if (ledger.foreign > 0)
        text += fmt::format("   foreign {}", format_count(ledger.foreign));
    if (ledger.unfinished > 0)
        text += fmt::format("   unfinished {}", format_count(ledger.unfinished));
    if (ledger.recovered > 0)
        text += fmt::format("   recovered {}", format_count(ledger.recovered));
    if (ledger.vanished > 0)
        text += fmt::format("   vanished {}", format_count(ledger.vanished));
    text += "\n";
    for (const std::string &bad : ledger.first_bad)
        text += clipped("                " + bad) + "\n";
    return text;
}

std::string tenant_range(const judge::Ledger &ledger) {
    if (ledger.tenant_jobs.empty())
        return "-";
    long long least = ledger.tenant_completed.empty() ? 0 : ledger.tenant_completed.begin()->second;
    long long most = 0;
    for (const auto &[tenant, jobs] : ledger.tenant_jobs) {
        const auto found = ledger.tenant_completed.find(tenant);
        const long long done = found == ledger.tenant_completed.end() ? 0 : found->second;
        least = std::min(least, done);
        most = std::max(most, done);
    }
    return fmt::format("{}-{}", format_count(least), format_count(most));
}

std::string phase_row(const engine::PhaseResult &phase) {
    long long claimed = 0;
    for (const db::Tick &tick : phase.ticks)
        claimed += tick.claimed;
    const double per_tick =
        phase.ticks.empty() ? 0 : static_cast<double>(claimed) / static_cast<double>(phase.ticks.size());
    std::vector<double> polls;
    for (const engine::SamplePoint &point : phase.series)
        polls.push_back(point.poll_ms);
    const std::string poll = polls.empty() ? "-"
                                           : fmt::format("{:.1f}/{:.1f}", measure::percentile(polls, 50),
                                                         measure::percentile(polls, 100));
    const double seconds = phase.drain ? phase.drain->seconds : 0;
    const double rate = seconds > 0 ? static_cast<double>(phase.drain->completed) / seconds : 0;
    return fmt::format("   {:<12} {:<11} {:>7} {:>6} {:>9.1f} {:>9.2f} {:>8.1f} {:>13} {:>14}\n",
                       phase.name.substr(0, 12), engine::phase_end_word(phase.end),
                       format_count(phase.ledger.acknowledged), phase.ticks.size(), per_tick, seconds, rate,
                       tenant_range(phase.ledger), poll);
}

std::string phase_table(const engine::RunResult &run) {
    std::string text =
        fmt::format("\n  {:<13} {:<11} {:>7} {:>6} {:>9} {:>9} {:>8} {:>13} {:>14}\n", "PHASES", "end",
                    "jobs", "ticks", "jobs/tick", "drain s", "jobs/s", "jobs/tenant", "poll ms 50/max");
    for (const engine::PhaseResult &phase : run.phases)
        text += phase_row(phase);
    return text;
}

std::string latency_table(const engine::RunResult &run) {
    std::string rows;
    for (const engine::PhaseResult &phase : run.phases)
        for (const actors::Figures &figures : phase.figures)
            for (const auto &[metric, times] : figures.times) {
                rows += fmt::format("   {:<12} {:<12} {:<16}", phase.name.substr(0, 12),
                                    figures.actor.substr(0, 12), metric.substr(0, 16));
                for (const double p : {50.0, 90.0, 95.0, 99.0, 99.9, 100.0})
                    rows += fmt::format(" {:>8.1f}", static_cast<double>(times.percentile(p)) / 1000);
                rows += "\n";
            }
    return rows.empty() ? ""
                        : fmt::format("\n  {:<13} {:<12} {:<16} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8}\n",
                                      "LATENCY ms", "actor", "", "p50", "p90", "p95", "p99", "p99.9", "max") +
                              rows;
}

std::string lines_of(const char *title, const std::vector<std::string> &lines) {
    std::string text;
    for (const std::string &line : lines)
        text += clipped(fmt::format("    {:<12}{}", text.empty() ? title : "", line)) + "\n";
    return text;
}

std::string troubles(const engine::RunResult &run) {
    std::string text;
    for (const engine::PhaseResult &phase : run.phases) {
        std::string trouble = lines_of("", phase.notes);
        if (phase.stuck)
            trouble += lines_of("why", phase.stuck->why) + lines_of("jobs", phase.stuck->counts) +
                       lines_of("held", phase.stuck->oldest_locked) +
                       lines_of("errors", phase.stuck->worker_errors) +
                       lines_of("last ticks", phase.stuck->last_ticks);
        if (phase.missed_samples > 0)
            trouble += lines_of("samples", {fmt::format("{} missed", phase.missed_samples)});
        if (!trouble.empty())
            text += fmt::format("\n  PHASE {}\n{}", phase.name, trouble);
    }
    if (!run.notes.empty())
        text += "\n  LEFT\n" + lines_of("", run.notes);
    if (run.reconnects > 0)
        text += fmt::format("\n  the server went away and came back: {} reconnects\n", run.reconnects);
    return text;
}

} // namespace

std::string text_report(const engine::RunResult &run, const TextStyle &style) {
    std::string text = heading(run, style);
    if (!style.quiet)
        text += criteria(run, style) + ledger_block(run.ledger) + phase_table(run) + latency_table(run) +
                troubles(run) + fmt::format("\n  AGAIN         {}\n", run.again);
    return text + judge::last_line(judge::tally(run.gates)) + "\n";
}

} // namespace fairq::driver::report
