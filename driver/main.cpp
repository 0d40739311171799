// main.cpp: reads the command line, calls what it names, prints, and turns the
// outcome into an exit code. No logic.
#include <algorithm>
#include <clocale>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <langinfo.h>
#include <memory>
#include <random>

#include <unistd.h>

#include <fmt/format.h>

#include "cli/options.hpp"
#include "db/database.hpp"
#include "engine/engine.hpp"
#include "errors.hpp"
#include "fault/cluster.hpp"
#include "interrupt.hpp"
#include "report/report.hpp"

namespace {

using namespace fairq::driver;

plan::Plan load_plan(const cli::Options &options) {
    plan::Plan plan = plan::read_plan(plan::find_plan(options.plan), options.choice);
    for (const auto &[metric, expression] : options.thresholds) {
        try {
            judge::Gate gate = judge::parse_gate(metric, expression);
            gate.id = "OPTION";
            gate.title = metric;
            plan.gates.push_back(gate);
        } catch (const judge::GateError &error) {
            throw UsageError(fmt::format("--threshold {}:{}: {}", metric, expression, error.what()));
        }
    }
    return plan;
}

int list_plans() {
    for (const std::string &path : plan::all_plans())
        fmt::print("{}", report::summarize_plan(plan::read_plan(path, {})));
    return 0;
}

bool has_variable(const char *name) {
    const char *value = std::getenv(name);
    return value != nullptr && *value != '\0';
}

report::TextStyle choose_style(const cli::Options &options) {
    const char *term = std::getenv("TERM");
    const bool dumb = term != nullptr && std::string(term) == "dumb";
    report::TextStyle style;
    style.color = !options.no_color && !has_variable("NO_COLOR") && !dumb && isatty(STDOUT_FILENO) != 0;
    style.symbols = std::string(nl_langinfo(CODESET)) == "UTF-8";
    style.quiet = options.quiet;
    return style;
}

/// Where --json goes. Opened before the run: a path that cannot be written must not cost half an hour.
class JsonOutput {
public:
    explicit JsonOutput(const std::string &path) : path_(path) {
        if (path_.empty() || path_ == "-")
            return;
        file_.open(path_, std::ios::trunc);
        if (!file_)
            throw UsageError(fmt::format("cannot write {}", path_));
    }

    void write(const std::string &text) {
        if (path_ == "-") {
            fmt::print("{}", text);
            std::fflush(stdout);
        } else if (!path_.empty() && !(file_ << text << std::flush))
            fmt::print(stderr, "fairq: cannot write {}\n", path_);
    }

    /// Where the text goes: stdout, unless the JSON is there.
    std::FILE *text_stream() const { return path_ == "-" ? stderr : stdout; }

private:
    std::string path_;
    std::ofstream file_;
};

int complain(judge::Outcome outcome, const char *message, std::FILE *stream = stdout) {
    fmt::print(stderr, "fairq: {}\n", message);
    fmt::print(stream, "{}\n0 passed, 1 failed\n", judge::outcome_word(outcome));
    return judge::exit_code(outcome);
}

engine::RunResult run_somewhere(const plan::Plan &plan, engine::RunSettings settings,
                                const cli::Options &options, engine::Progress &progress) {
    std::unique_ptr<fault::Cluster> cluster;
    const auto conninfo = cli::chosen_conninfo(options);
    if (!conninfo) {
        progress.note("making a throw-away cluster");
        cluster = std::make_unique<fault::Cluster>(fault::ClusterOptions{
            plan::uses_cron(plan), plan.server.cron_background_workers, plan.server.settings});
    }
    settings.throwaway = cluster != nullptr;
    settings.conninfo = cluster ? cluster->conninfo() : *conninfo;
    engine::RunResult result = engine::run_plan(plan, settings, progress);
    if (cluster && options.keep)
        progress.note(fmt::format("kept the stopped cluster in {}", cluster->keep()));
    return result;
}

int run(const cli::Options &options) {
    const plan::Plan plan = load_plan(options);
    JsonOutput json(options.json_file);
    engine::Progress progress(engine::Progress::choose(options.quiet), options.progress);
    engine::RunSettings settings;
    settings.seed = options.seed.value_or(std::random_device{}());
    settings.timeout = options.timeout;
    settings.force = options.force;
    settings.keep = options.keep;
    settings.again = cli::again_command(options, plan, settings.seed);
    try {
        const engine::RunResult result = run_somewhere(plan, settings, options, progress);
        json.write(report::json_report(result));
        fmt::print(json.text_stream(), "{}", report::text_report(result, choose_style(options)));
        return judge::exit_code(result.outcome);
    } catch (const SetupError &error) {
        json.write(report::json_failure(judge::Outcome::setup, error.what()));
        return complain(judge::Outcome::setup, error.what(), json.text_stream());
    } catch (const Interrupted &error) {
        json.write(report::json_failure(judge::Outcome::aborted, error.what()));
        return complain(judge::Outcome::aborted, error.what(), json.text_stream());
    }
}

int dispatch(const cli::Options &options) {
    switch (options.verb) {
    case cli::Verb::run:
        return run(options);
    case cli::Verb::list:
        return list_plans();
    case cli::Verb::check:
        fmt::print("{}", report::describe_plan(load_plan(options)));
        return 0;
    case cli::Verb::help:
        fmt::print("{}", options.help);
        return 0;
    }
    return 0;
}

} // namespace

int main(int argc, char **argv) {
    std::setlocale(LC_CTYPE, "");
    install_signal_handlers();
    setenv("PGCONNECT_TIMEOUT", "10", 0); // libpq's own default is for ever
    try {
        return dispatch(cli::parse_options(argc, argv));
    } catch (const UsageError &error) {
        return complain(judge::Outcome::usage, error.what());
    } catch (const SetupError &error) {
        return complain(judge::Outcome::setup, error.what());
    } catch (const Interrupted &error) {
        return complain(judge::Outcome::aborted, error.what());
    } catch (const std::exception &error) {
        return complain(judge::Outcome::inconclusive, error.what());
    }
}
