// options.cpp: see options.hpp. Option names are those of psql and of the load tools that people know.
#include "cli/options.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <regex>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "errors.hpp"

namespace fairq::driver::cli {
namespace {

constexpr const char *kFooter =
    "Without --dsn, -h, -p, -d, PGHOST, PGHOSTADDR, PGPORT, PGSERVICE or PGDATABASE the run makes a "
    "throw-away cluster.\n"
    "Exit codes: 0 PASS, 1 BROKEN (jobs lost, duplicated, ...), 99 FAIL (a threshold), 2 INCONCLUSIVE, 3 "
    "SETUP,\n"
    "104 USAGE, 105 ABORTED by a signal, 106 UNWRITTEN: passed, but the results could not be written. The "
    "last line of stdout is \"N passed, N failed\".";

/// What CLI11 reads as text and we read further.
struct RawOptions {
    std::vector<std::string> options;
    std::vector<std::string> thresholds;
    std::string timeout;
    std::string progress;
    std::string seed;
    std::string max_regression;
};

void add_plan_options(CLI::App &app, Options &options, RawOptions &raw) {
    app.add_option("PLAN", options.plan, "name of a plan (fairq list shows them), or path of a .toml file")
        ->required();
    app.add_option("--profile", options.choice.profile, "size of the plan: smoke, standard, ...");
    app.add_option("--option", raw.options, "KEY=VALUE: sets a param of the plan (repeat)")
        ->allow_extra_args(false);
}

void add_connection_options(CLI::App &app, Options &options) {
    app.add_option("--dsn", options.dsn, "libpq connection string or URI");
    app.add_option("-h,--host", options.host, "server host or socket folder");
    app.add_option("-p,--port", options.port, "server port");
    app.add_option("-U,--username", options.user, "user name");
    app.add_option("-d,--dbname", options.database, "database name");
}

void add_file_options(CLI::App &app, Options &options) {
    FileOptions &files = options.files;
    app.add_option("--json,--summary-export", files.json,
                   "writes the result as JSON; - is stdout, and the text goes to stderr");
    app.add_option("--html", files.html, "writes the report as one HTML page");
    app.add_option("--junit", files.junit, "writes the gates as JUnit XML");
    app.add_option("--csv", files.csv, "writes every point of every series");
    app.add_option("--tap", files.tap, "writes the gates as TAP");
    app.add_option("--markdown", files.markdown, "writes the report as Markdown");
    app.add_option("--report", files.folder,
                   "writes all of these into a folder (fairq report makes them again)");
}

void add_text_options(CLI::App &app, Options &options) {
    app.add_flag("-q,--quiet", options.quiet, "verdict, and what does not hold");
    app.add_flag("--no-color", options.no_color, "no colours (also NO_COLOR, TERM=dumb)");
}

void add_report_verbs(CLI::App &report, CLI::App &compare, Options &options, RawOptions &raw) {
    report.add_option("DIR", options.result, "folder with a result.json, or such a file")->required();
    add_file_options(report, options);
    add_text_options(report, options);
    compare.add_option("BASE", options.base, "the earlier result: a folder, or a file")->required();
    compare.add_option("NEW", options.result, "the later one")->required();
    compare.add_option("--max-regression", raw.max_regression, "by how much a figure may be worse (10%)");
    add_text_options(compare, options);
}

void add_run_options(CLI::App &app, Options &options, RawOptions &raw) {
    add_file_options(app, options);
    app.add_option("--threshold", raw.thresholds,
                   "'METRIC:EXPR': one more gate, as in 'poll_ms:p(95)<50' (repeat)")
        ->allow_extra_args(false);
    app.add_option("--baseline", options.baseline_file,
                   "the --json of an earlier run of the plan: its thresholds may not get worse");
    app.add_option("--max-regression", raw.max_regression, "than the baseline by more than this (10%)");
    app.add_option("--seed", raw.seed, "number that fixes the order of arrivals (default: random, printed)");
    app.add_option("--timeout", raw.timeout, "ends the run after so long (30m); results are still written");
    app.add_option("--progress", raw.progress, "interval of progress lines without a terminal (5s)");
    app.add_flag("--keep", options.keep, "leaves the data behind");
    app.add_flag(
        "-y,--yes,--force", options.yes,
        "runs in a database that has other people's jobs, without asking; the run's workers run those too");
    add_text_options(app, options);
}

std::pair<std::string, std::string> split(const std::string &text, std::size_t at, const std::string &flag) {
    if (at == std::string::npos || at == 0 || at + 1 >= text.size())
        throw UsageError(
            fmt::format("{} {}: must look like KEY{}VALUE", flag, text, flag == "--option" ? '=' : ':'));
    return {text.substr(0, at), text.substr(at + 1)};
}

Milliseconds read_duration(const std::string &flag, const std::string &text) {
    const auto duration = parse_duration(text);
    if (!duration || duration->count() == 0)
        throw UsageError(fmt::format("{} must be a duration such as 30s or 5m, not {}", flag, text));
    return *duration;
}

std::uint64_t read_seed(const std::string &text) {
    std::uint64_t seed = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seed);
    if (error != std::errc{} || end != text.data() + text.size())
        throw UsageError(fmt::format("--seed must be a whole number, not {}", text));
    return seed;
}

double read_percentage(const std::string &flag, std::string text) {
    if (!text.empty() && text.back() == '%')
        text.pop_back();
    double percent = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), percent);
    if (error != std::errc{} || end != text.data() + text.size() || percent < 0 || !std::isfinite(percent))
        throw UsageError(fmt::format("{} must be a percentage such as 10%, not {}", flag, text));
    return percent / 100;
}

void finish(Options &options, const RawOptions &raw) {
    for (const std::string &text : raw.options)
        options.choice.options.push_back(split(text, text.find('='), "--option"));
    // The last colon that is not inside {…}: selectors have colons too.
    for (const std::string &text : raw.thresholds) {
        const std::size_t brace = text.rfind('}');
        options.thresholds.push_back(
            split(text, text.find(':', brace == std::string::npos ? 0 : brace), "--threshold"));
    }
    if (!raw.timeout.empty())
        options.timeout = read_duration("--timeout", raw.timeout);
    if (!raw.progress.empty())
        options.progress = read_duration("--progress", raw.progress);
    if (!raw.max_regression.empty())
        options.max_regression = read_percentage("--max-regression", raw.max_regression);
    if (options.verb == Verb::run && options.baseline_file.empty() && !raw.max_regression.empty())
        throw UsageError("--max-regression needs a --baseline");
    if (!raw.seed.empty())
        options.seed = read_seed(raw.seed);
    const bool parts =
        !options.host.empty() || !options.port.empty() || !options.user.empty() || !options.database.empty();
    if (!options.dsn.empty() && parts)
        throw UsageError("--dsn and -h, -p, -U, -d exclude each other");
}

std::string quoted_conninfo_value(const std::string &value) {
    std::string quoted = "'";
    for (const char c : value)
        quoted += c == '\'' || c == '\\' ? std::string("\\") + c : std::string(1, c);
    return quoted + "'";
}

bool shell_safe(const std::string &text) {
    const auto safe = [](char c) {
        return std::isalnum(static_cast<unsigned char>(c)) != 0 ||
               std::string_view("_-./=:,%+@").find(c) != std::string_view::npos;
    };
    return !text.empty() && std::all_of(text.begin(), text.end(), safe);
}

std::string shell_word(const std::string &text) {
    if (shell_safe(text))
        return text;
    std::string quoted = "'";
    for (const char c : text)
        quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
    return quoted + "'";
}

/// libpq asks for it, or finds it in PGPASSWORD or ~/.pgpass; what is printed and stored must not have it.
std::string without_password(const std::string &dsn) {
    static const std::regex kValue(R"re((^|\s)(?:ssl)?password\s*=\s*('(\\.|[^'\\])*'|(\\.|[^\s\\])*)\s*)re",
                                   std::regex::icase);
    static const std::regex kQuery(R"re(([?&])(?:ssl)?password=[^&]*&?)re", std::regex::icase);
    static const std::regex kUri(R"re(^(postgres(ql)?://[^:@/?]*):[^@/?]*@)re", std::regex::icase);
    if (dsn.find("://") == std::string::npos)
        return std::regex_replace(dsn, kValue, "$1");
    return std::regex_replace(std::regex_replace(dsn, kUri, "$1@"), kQuery, "$1");
}

} // namespace

Options parse_options(int argc, const char *const *argv) {
    Options options;
    RawOptions raw;
    CLI::App app{"fairq: load tests for a fair job queue in PostgreSQL", "fairq"};
    app.footer(kFooter);
    app.set_help_flag("--help", "prints this help");
    app.require_subcommand(1);
    std::vector<std::pair<Verb, CLI::App *>> verbs;
    const auto verb = [&](Verb which, const char *name, const char *help) {
        verbs.emplace_back(which, app.add_subcommand(name, help));
        return verbs.back().second;
    };
    CLI::App *run = verb(Verb::run, "run", "runs a plan and judges it");
    verb(Verb::list, "list", "shows the plans, their profiles and params");
    CLI::App *check = verb(Verb::check, "check", "prints what a run would do, and does nothing");
    CLI::App *report = verb(Verb::report, "report", "makes the files of a run again from its stored result");
    CLI::App *compare = verb(Verb::compare, "compare", "says which metrics are worse than in an earlier run");
    CLI::App *cleanup =
        verb(Verb::cleanup, "cleanup", "takes away what a run left behind whose driver was killed");
    verb(Verb::selftest, "selftest",
         "breaks the queue on purpose, in every way that a run can see, and sees it turn red");
    verb(Verb::worker, "worker", "")->group("");
    add_connection_options(*cleanup, options);
    cleanup->add_option("--run-id", options.run_id, "of this run only");
    add_plan_options(*run, options, raw);
    add_connection_options(*run, options);
    add_run_options(*run, options, raw);
    add_plan_options(*check, options, raw);
    add_report_verbs(*report, *compare, options, raw);
    const auto parsed = [&] {
        return std::find_if(verbs.begin(), verbs.end(), [](const auto &v) { return v.second->parsed(); });
    };
    try {
        app.parse(argc, argv);
    } catch (const CLI::CallForHelp &) {
        const auto asked = parsed();
        options.help = asked == verbs.end() ? app.help() : asked->second->help("fairq");
        return options;
    } catch (const CLI::ParseError &error) {
        throw UsageError(fmt::format("{} (fairq --help)", error.what()));
    }
    options.verb = parsed()->first;
    finish(options, raw);
    return options;
}

std::optional<std::string> chosen_conninfo(const Options &options) {
    if (!options.dsn.empty())
        return options.dsn;
    const std::array<std::pair<const char *, const std::string *>, 4> parts{{{"host", &options.host},
                                                                             {"port", &options.port},
                                                                             {"user", &options.user},
                                                                             {"dbname", &options.database}}};
    std::string conninfo;
    for (const auto &[name, value] : parts)
        if (!value->empty())
            conninfo +=
                fmt::format("{}{}={}", conninfo.empty() ? "" : " ", name, quoted_conninfo_value(*value));
    if (!conninfo.empty())
        return conninfo; // libpq fills the rest from its environment
    for (const char *name : {"PGHOST", "PGHOSTADDR", "PGPORT", "PGSERVICE", "PGDATABASE"})
        if (const char *value = std::getenv(name); value != nullptr && *value != '\0')
            return "";
    return std::nullopt;
}

std::string again_command(const Options &options, const plan::Plan &plan, std::uint64_t seed) {
    std::string command = "fairq run " + shell_word(options.plan);
    const auto add = [&](const char *flag, const std::string &value) {
        if (!value.empty())
            command += fmt::format(" {} {}", flag, shell_word(value));
    };
    add("--profile", plan.profile);
    for (const auto &[name, value] : options.choice.options)
        add("--option", name + "=" + value);
    for (const auto &[metric, expression] : options.thresholds)
        add("--threshold", metric + ":" + expression);
    add("--seed", std::to_string(seed));
    add("--dsn", without_password(options.dsn));
    add("-h", options.host);
    add("-p", options.port);
    add("-U", options.user);
    add("-d", options.database);
    if (options.timeout)
        add("--timeout", format_duration(*options.timeout));
    if (options.keep)
        command += " --keep";
    if (options.yes)
        command += " --yes";
    return command;
}

} // namespace fairq::driver::cli
