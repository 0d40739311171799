// result_files.cpp: see result_files.hpp.
#include "cli/result_files.hpp"

#include <cerrno>
#include <cstring>
#include <filesystem>

#include <fcntl.h>
#include <unistd.h>

#include <fmt/format.h>

#include "errors.hpp"
#include "report/files.hpp"
#include "report/json.hpp"

namespace fairq::driver::cli {
namespace {

std::string below(const std::string &folder, const char *name) {
    return (std::filesystem::path(folder) / name).string();
}

} // namespace

ResultFiles::ResultFiles(const FileOptions &options) {
    want(options.json, report::json_report);
    want(options.junit, report::junit_report);
    want(options.html, report::html_report);
    want(options.csv, report::csv_report);
    want(options.tap, report::tap_report);
    want(options.markdown, report::markdown_report);
    if (options.folder.empty())
        return;
    std::error_code error;
    std::filesystem::create_directories(options.folder, error);
    if (error)
        throw UsageError(fmt::format("cannot make the folder {}: {}", options.folder, error.message()));
    want(below(options.folder, kResultName), report::json_report);
    want(below(options.folder, "report.html"), report::html_report);
    want(below(options.folder, "junit.xml"), report::junit_report);
    want(below(options.folder, "series.csv"), report::csv_report);
    want(below(options.folder, "report.md"), report::markdown_report);
    want(below(options.folder, "gates.tap"), report::tap_report);
}

void ResultFiles::want(const std::string &path, std::string (*make)(const report::Summary &summary)) {
    if (path.empty())
        return;
    if (path == "-" && uses_stdout_)
        throw UsageError("only one file can go to stdout (-)");
    uses_stdout_ = uses_stdout_ || path == "-";
    wanted_.push_back({make, std::make_unique<ResultFile>(path)});
    if (path != "-")
        names_.push_back(path);
}

bool ResultFiles::write(const report::Summary &summary) {
    bool all = true;
    for (const Wanted &wanted : wanted_)
        all = wanted.file->write(wanted.make(summary)) && all;
    return all;
}

bool ResultFiles::write_failure(judge::Outcome outcome, const std::string &message, const std::string &plan) {
    const report::Summary summary = report::never_started(outcome, message, plan);
    bool all = true;
    for (const Wanted &wanted : wanted_)
        all = wanted.file->write(wanted.make == report::json_report ? report::json_failure(outcome, message)
                                                                    : wanted.make(summary)) &&
              all;
    return all;
}

bool append_whole(const std::string &path, const std::string &text) {
    const int file = open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
    if (file < 0) {
        print(stderr, fmt::format("fairq: cannot write {}: {}\n", path, std::strerror(errno)));
        return false;
    }
    const off_t before = lseek(file, 0, SEEK_END);
    std::size_t done = 0;
    ssize_t taken = 1;
    while (done < text.size() && taken > 0) {
        taken = ::write(file, text.data() + done, text.size() - done);
        done += taken > 0 ? static_cast<std::size_t>(taken) : 0;
    }
    int reason = done < text.size() ? (errno != 0 ? errno : EIO) : 0;
    if (reason != 0 && before >= 0 && ftruncate(file, before) != 0)
        errno = reason;
    if (close(file) != 0 && reason == 0)
        reason = errno;
    if (reason == 0)
        return true;
    print(stderr, fmt::format("fairq: cannot write {}: {}\n", path, std::strerror(reason)));
    return false;
}

} // namespace fairq::driver::cli
