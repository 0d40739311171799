// comparison.cpp: see comparison.hpp.
#include "report/comparison.hpp"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "report/terminal_page.hpp"
#include "text.hpp"
#include "units.hpp"

namespace fairq::driver::report {
namespace {

constexpr std::size_t kNameWidth = 52;
constexpr long long kLeastSamples = 10; ///< a percentile of fewer is luck

/// A percentile has to have ten values beyond it, as a gate wants it.
bool enough(const std::string &quantile, long long samples) {
    const double beyond = quantile == "p50" ? 0.5 : quantile == "p95" ? 0.05 : 0.01;
    return static_cast<double>(samples) * beyond >= kLeastSamples;
}

judge::Figure figure_of(const MetricLine &line, const std::string &statistic, double value) {
    judge::Figure figure;
    figure.name = line.name;
    const std::string tags =
        (line.phase.empty() ? "" : "phase:" + line.phase) +
        (line.actor.empty() ? "" : (line.phase.empty() ? "" : ", ") + std::string("actor:") + line.actor);
    if (!tags.empty())
        figure.name += "{" + tags + "}";
    if (statistic != "value")
        figure.name += " " + statistic;
    figure.value = figure.low = figure.high = value;
    if (const auto found = line.intervals.find(statistic); found != line.intervals.end()) {
        figure.low = found->second.first;
        figure.high = found->second.second;
    }
    figure.samples = line.samples;
    figure.lower_is_better = line.better == "lower";
    figure.exact = line.gate_class == "invariant" && line.type == "counter";
    return figure;
}

void describe_runs(TerminalPage &page, const Summary &base, const Summary &now) {
    const auto run = [&](const char *title, const Summary &summary) {
        page.items(title,
                   {summary.plan + (summary.profile.empty() ? "" : " " + summary.profile),
                    "run " + summary.run_id, summary.generated_at, judge::outcome_word(summary.outcome)});
    };
    run("BASE", base);
    run("NEW", now);
    std::vector<std::string> differ;
    const auto compare = [&](const char *what, const std::string &a, const std::string &b) {
        if (a != b)
            differ.push_back(fmt::format("{}: {} / {}", what, a, b));
    };
    compare("plan", base.plan, now.plan);
    compare("profile", base.profile, now.profile);
    compare("PostgreSQL", base.server, now.server);
    compare("CPUs", std::to_string(base.cpus), std::to_string(now.cpus));
    for (const auto &[name, value] : base.settings)
        if (const auto found = now.settings.find(name); found != now.settings.end())
            compare(name.c_str(), value, found->second);
    page.list("NOT ALIKE, so that a difference may come from there", differ);
}

std::string change_text(const judge::Difference &difference) {
    if (difference.change == judge::Change::only_base || difference.change == judge::Change::only_new)
        return "";
    if (!std::isfinite(difference.ratio))
        return "from 0";
    return fmt::format("{:+.1f} %", (difference.ratio - 1) * 100);
}

void show(TerminalPage &page, const judge::Difference &c) {
    const std::string base = c.change == judge::Change::only_new ? "-" : format_short(c.base);
    const std::string now = c.change == judge::Change::only_base ? "-" : format_short(c.now);
    const char *const color = c.change == judge::Change::worse     ? "31"
                              : c.change == judge::Change::unclear ? "33"
                              : c.change == judge::Change::better  ? "32"
                                                                   : nullptr;
    const std::string word = fmt::format("   {:<12}", change_word(c.change));
    std::string text =
        page.wide()
            ? fmt::format("{} {:<{}} {:>10} {:>10} {:>9}", word, clipped(printable(c.name), kNameWidth, true),
                          kNameWidth, base, now, change_text(c))
            : fmt::format("{} {}: {}, was {} {}", word, c.name, now, base, change_text(c));
    while (text.back() == ' ')
        text.pop_back();
    page.paragraph(text, 6, color, std::min(text.size(), word.size()));
}

} // namespace

std::vector<judge::Figure> figures_of(const Summary &summary) {
    std::vector<judge::Figure> figures;
    for (const MetricLine &line : summary.metrics) {
        if (line.better == "neither")
            continue;
        if (line.type != "trend") {
            figures.push_back(figure_of(line, "value", line.value));
            continue;
        }
        for (const char *name : {"p50", "p95", "p99"})
            if (const auto found = line.quantiles.find(name);
                found != line.quantiles.end() && enough(name, line.samples))
                figures.push_back(figure_of(line, name, found->second));
    }
    return figures;
}

ComparisonReport compare_runs(const Summary &base, const Summary &now, double tolerance,
                              const TextStyle &style) {
    auto differences = judge::compare(figures_of(base), figures_of(now), tolerance);
    judge::sort_by_concern(differences);
    const auto count = [&](judge::Change change) {
        return std::count_if(differences.begin(), differences.end(),
                             [change](const judge::Difference &c) { return c.change == change; });
    };
    const auto worse = count(judge::Change::worse), unclear = count(judge::Change::unclear);
    const auto better = count(judge::Change::better), same = count(judge::Change::same);
    ComparisonReport report;
    report.outcome = worse > 0                           ? judge::Outcome::fail
                     : unclear > 0 || better + same == 0 ? judge::Outcome::inconclusive
                                                         : judge::Outcome::pass;
    TerminalPage page(style);
    page.paragraph(fmt::format("{}  {} worse, {} unclear, {} better, {} the same; tolerance {} %",
                               judge::outcome_word(report.outcome), worse, unclear, better, same,
                               format_number(tolerance * 100)),
                   6);
    if (!style.quiet) {
        describe_runs(page, base, now);
        page.line();
    }
    for (const judge::Difference &difference : differences)
        if (!style.quiet || difference.change == judge::Change::worse ||
            difference.change == judge::Change::unclear)
            show(page, difference);
    report.text = page.text() + fmt::format("{} passed, {} failed\n", better + same, worse + unclear);
    return report;
}

} // namespace fairq::driver::report
