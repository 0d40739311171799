// options.hpp: the command line as a plain struct. What --help prints is the specification.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cli/result_files.hpp"
#include "plan/plan.hpp"

namespace fairq::driver::cli {

enum class Verb { run, list, check, cleanup, report, compare, selftest, worker, help };

struct Options {
    Verb verb = Verb::help;
    std::string help; ///< text to print, for Verb::help
    std::string plan;
    plan::PlanChoice choice;
    std::vector<std::pair<std::string, std::string>> thresholds; ///< metric, expression
    std::string dsn;
    std::string host, port, user, database;
    std::string run_id; ///< for cleanup
    FileOptions files;
    std::string result, base;    ///< for report and compare: files, or folders
    std::string baseline_file;   ///< the JSON of an earlier run
    double max_regression = 0.1; ///< for --baseline and compare, a share
    std::optional<std::uint64_t> seed;
    std::optional<Milliseconds> timeout;
    Milliseconds progress{5000};
    bool keep = false;
    bool yes = false;
    bool quiet = false;
    bool no_color = false;
};

/// Throws UsageError with one sentence.
Options parse_options(int argc, const char *const *argv);

/// The connection that the options and libpq's environment name; nothing when they name none.
std::optional<std::string> chosen_conninfo(const Options &options);

/// The command that repeats this run, with all that decides it; passwords left out.
std::string again_command(const Options &options, const plan::Plan &plan, std::uint64_t seed);

} // namespace fairq::driver::cli
