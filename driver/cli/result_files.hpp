// result_files.hpp: the files of a run, all opened before it begins, so that none costs half an hour, and each written
// whole or not at all.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cli/output.hpp"
#include "report/summary.hpp"

namespace fairq::driver::cli {

/// Paths; empty: not wanted, "-": stdout.
struct FileOptions {
    std::string json, junit, html, csv, tap, markdown;
    std::string folder; ///< takes one of each kind
};

/// The name of the JSON result in a folder of results.
constexpr const char *kResultName = "result.json";

class ResultFiles {
public:
    /// Makes the folder if there is none. Throws UsageError when a file cannot be opened, or two go to stdout.
    explicit ResultFiles(const FileOptions &options);

    /// False, and a sentence on stderr for each, when not all of them were written.
    bool write(const report::Summary &summary);

    /// Of a run that never started: every file says so.
    bool write_failure(judge::Outcome outcome, const std::string &message, const std::string &plan);

    /// What was written, for the report; without stdout.
    const std::vector<std::string> &names() const { return names_; }

    /// One goes to stdout, and the text to stderr.
    bool uses_stdout() const { return uses_stdout_; }

private:
    struct Wanted {
        std::string (*make)(const report::Summary &summary);
        std::unique_ptr<ResultFile> file;
    };
    void want(const std::string &path, std::string (*make)(const report::Summary &summary));

    std::vector<Wanted> wanted_;
    std::vector<std::string> names_;
    bool uses_stdout_ = false;
};

/// Appends to a file that others write to as well, whole or not at all. False, and a sentence on stderr, when it could
/// not.
bool append_whole(const std::string &path, const std::string &text);

} // namespace fairq::driver::cli
