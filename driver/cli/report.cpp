// report.cpp: fairq report and fairq compare: from stored results. No server is asked.
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

#include <fmt/format.h>

#include "cli/output.hpp"
#include "cli/result_files.hpp"
#include "cli/style.hpp"
#include "cli/verbs.hpp"
#include "errors.hpp"
#include "report/comparison.hpp"
#include "report/json.hpp"
#include "report/terminal.hpp"

namespace fairq::driver::cli {
namespace {

/// A file, or the result in a folder of results.
report::Summary read_result(const std::string &path) {
    const std::string file =
        std::filesystem::is_directory(path) ? (std::filesystem::path(path) / kResultName).string() : path;
    std::ifstream stream(file, std::ios::binary);
    const std::string text((std::istreambuf_iterator<char>(stream)), {});
    if (!stream)
        throw UsageError(fmt::format("cannot read {}: {}", file, std::strerror(errno)));
    try {
        return report::read_json(text);
    } catch (const report::ResultError &error) {
        throw UsageError(fmt::format("cannot use {}: {}", file, error.what()));
    }
}

bool wants_none(const FileOptions &files) {
    return files.json.empty() && files.junit.empty() && files.html.empty() && files.csv.empty() &&
           files.tap.empty() && files.markdown.empty() && files.folder.empty();
}

} // namespace

int report(const Options &options) {
    const report::Summary summary = read_result(options.result);
    FileOptions wanted = options.files;
    if (wants_none(wanted) && std::filesystem::is_directory(options.result))
        wanted.folder = options.result;
    ResultFiles files(wanted);
    const bool written = files.write(summary);
    const bool shown = print(files.uses_stdout() ? stderr : stdout,
                             report::text_report(summary, choose_style(options), files.names()));
    return exit_code(with_output(judge::Outcome::pass, written && shown));
}

int compare(const Options &options) {
    const report::Summary base = read_result(options.base), now = read_result(options.result);
    const report::ComparisonReport result =
        compare_runs(base, now, options.max_regression, choose_style(options));
    return exit_code(with_output(result.outcome, print(stdout, result.text)));
}

} // namespace fairq::driver::cli
