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

#include "cluster.hpp"
#include "database.hpp"
#include "engine.hpp"
#include "errors.hpp"
#include "interrupt.hpp"
#include "options.hpp"
#include "report.hpp"

namespace {

using namespace fairq::driver;

Plan load_plan(const Options &options) {
    Plan plan = read_plan(find_plan(options.plan), options.choice);
    for (const auto &[metric, expression] : options.thresholds) {
        try {
            Gate gate = parse_gate(metric, expression);
            gate.id = "OPTION";
            gate.title = metric;
            plan.gates.push_back(gate);
        } catch (const GateError &error) {
            throw UsageError(fmt::format("--threshold {}:{}: {}", metric, expression, error.what()));
        }
    }
    return plan;
}

int list_plans() {
    for (const std::string &path : all_plans())
        fmt::print("{}", summarize_plan(read_plan(path, {})));
    return 0;
}

bool has_variable(const char *name) {
    const char *value = std::getenv(name);
    return value != nullptr && *value != '\0';
}

TextStyle choose_style(const Options &options) {
    const char *term = std::getenv("TERM");
    const bool dumb = term != nullptr && std::string(term) == "dumb";
    TextStyle style;
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

int complain(Outcome outcome, const char *message, std::FILE *stream = stdout) {
    fmt::print(stderr, "fairq: {}\n", message);
    fmt::print(stream, "{}\n0 passed, 1 failed\n", outcome_word(outcome));
    return exit_code(outcome);
}

RunResult run_somewhere(const Plan &plan, RunSettings settings, const Options &options, Progress &progress) {
    std::unique_ptr<Cluster> cluster;
    const auto conninfo = chosen_conninfo(options);
    if (!conninfo) {
        progress.note("making a throw-away cluster");
        cluster = std::make_unique<Cluster>(
            ClusterOptions{uses_cron(plan), plan.server.cron_background_workers, plan.server.settings});
    }
    settings.throwaway = cluster != nullptr;
    settings.conninfo = cluster ? cluster->conninfo() : *conninfo;
    RunResult result = run_plan(plan, settings, progress);
    if (cluster && options.keep)
        progress.note(fmt::format("kept the stopped cluster in {}", cluster->keep()));
    return result;
}

int run(const Options &options) {
    const Plan plan = load_plan(options);
    JsonOutput json(options.json_file);
    Progress progress(Progress::choose(options.quiet), options.progress);
    RunSettings settings;
    settings.seed = options.seed.value_or(std::random_device{}());
    settings.timeout = options.timeout;
    settings.force = options.force;
    settings.keep = options.keep;
    settings.again = again_command(options, plan, settings.seed);
    try {
        const RunResult result = run_somewhere(plan, settings, options, progress);
        json.write(json_report(result));
        fmt::print(json.text_stream(), "{}", text_report(result, choose_style(options)));
        return exit_code(result.outcome);
    } catch (const SetupError &error) {
        json.write(json_failure(Outcome::setup, error.what()));
        return complain(Outcome::setup, error.what(), json.text_stream());
    } catch (const Interrupted &error) {
        json.write(json_failure(Outcome::aborted, error.what()));
        return complain(Outcome::aborted, error.what(), json.text_stream());
    }
}

int dispatch(const Options &options) {
    switch (options.verb) {
    case Verb::run:
        return run(options);
    case Verb::list:
        return list_plans();
    case Verb::check:
        fmt::print("{}", describe_plan(load_plan(options)));
        return 0;
    case Verb::help:
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
        return dispatch(parse_options(argc, argv));
    } catch (const UsageError &error) {
        return complain(Outcome::usage, error.what());
    } catch (const SetupError &error) {
        return complain(Outcome::setup, error.what());
    } catch (const Interrupted &error) {
        return complain(Outcome::aborted, error.what());
    } catch (const std::exception &error) {
        return complain(Outcome::inconclusive, error.what());
    }
}
