// run.cpp: fairq run: on a database or on a throw-away cluster, then the results where they belong.
#include <cstdlib>
#include <iostream>
#include <memory>
#include <random>

#include <unistd.h>

#include <fmt/format.h>

#include "cli/baseline.hpp"
#include "cli/output.hpp"
#include "cli/result_files.hpp"
#include "cli/style.hpp"
#include "cli/verbs.hpp"
#include "engine/engine.hpp"
#include "errors.hpp"
#include "fault/cluster.hpp"
#include "interrupt.hpp"
#include "report/files.hpp"
#include "report/terminal.hpp"
#include "text.hpp"

namespace fairq::driver::cli {
namespace {

bool has_variable(const char *name) {
    const char *value = std::getenv(name);
    return value != nullptr && *value != '\0';
}

bool ask_person(const std::string &question) {
    print(stderr, fmt::format("fairq: {} [y/N] ", printable(question)));
    std::string answer;
    std::getline(std::cin, answer);
    if (interrupted())
        throw Interrupted();
    return answer == "y" || answer == "Y" || answer == "yes";
}

engine::RunSettings settings_of(const Options &options, const plan::Plan &plan) {
    engine::RunSettings settings;
    settings.seed = options.seed.value_or(std::random_device{}());
    settings.timeout = options.timeout;
    settings.yes = options.yes;
    settings.keep = options.keep;
    settings.again = again_command(options, plan, settings.seed);
    if (isatty(STDIN_FILENO) != 0 && isatty(STDERR_FILENO) != 0)
        settings.ask = ask_person;
    return settings;
}

/// Its gates are added to the plan's.
std::optional<judge::Baseline> chosen_baseline(const Options &options, plan::Plan &plan) {
    if (options.baseline_file.empty())
        return std::nullopt;
    auto baseline = read_baseline(options.baseline_file, plan.name);
    for (const judge::Gate &gate : judge::regression_gates(plan.gates, options.max_regression))
        plan.gates.push_back(gate);
    return baseline;
}

engine::RunResult run_somewhere(const plan::Plan &plan, const Options &options,
                                const std::optional<judge::Baseline> &baseline, engine::Progress &progress) {
    std::unique_ptr<fault::Cluster> cluster;
    const auto conninfo = chosen_conninfo(options);
    if (!conninfo) {
        progress.note("making a throw-away cluster");
        cluster = std::make_unique<fault::Cluster>(fault::ClusterOptions{
            uses_cron(plan), plan.server.cron_background_workers, plan.server.settings});
    }
    engine::RunSettings settings = settings_of(options, plan);
    settings.baseline = baseline;
    settings.throwaway = cluster != nullptr;
    settings.cluster = cluster.get();
    settings.conninfo = cluster ? cluster->conninfo() : *conninfo;
    engine::RunResult result = run_plan(plan, settings, progress);
    if (cluster && options.keep)
        progress.note(fmt::format("kept the stopped cluster in {}", cluster->keep()));
    return result;
}

/// On GitHub's machines: a page for the run, and a line for each gate that does not hold.
bool tell_github(const report::Summary &summary, std::FILE *text) {
    if (has_variable("GITHUB_ACTIONS"))
        print(text, report::github_annotations(summary));
    return !has_variable("GITHUB_STEP_SUMMARY") ||
           append_whole(std::getenv("GITHUB_STEP_SUMMARY"), report::github_summary(summary));
}

} // namespace

int run(const Options &options) {
    plan::Plan plan = load_plan(options);
    const auto baseline = chosen_baseline(options, plan);
    ResultFiles files(options.files);
    std::FILE *const text = files.uses_stdout() ? stderr : stdout;
    engine::Progress progress(engine::Progress::choose(options.quiet), options.progress);
    const auto never_started = [&](judge::Outcome outcome, const std::exception &error) {
        files.write_failure(outcome, error.what(), plan.name);
        tell_github(report::never_started(outcome, error.what(), plan.name), text);
        return complain(outcome, error.what(), text);
    };
    try {
        const report::Summary summary = report::summarize(run_somewhere(plan, options, baseline, progress));
        const bool written = files.write(summary);
        const bool told = tell_github(summary, text);
        const bool shown = print(text, report::text_report(summary, choose_style(options), files.names()));
        return exit_code(with_output(summary.outcome, written && told && shown));
    } catch (const SetupError &error) {
        return never_started(judge::Outcome::setup, error);
    } catch (const Interrupted &error) {
        return never_started(judge::Outcome::aborted, error);
    }
}

} // namespace fairq::driver::cli
