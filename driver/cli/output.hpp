// output.hpp: where results go, and whether they got there. A verdict that nobody can read is no verdict: a
// full disk or a closed pipe shows in the exit code.
#pragma once

#include <cstdio>
#include <string>

#include "judge/verdict.hpp"

namespace fairq::driver::cli {

/// A result file, complete or not at all: it is written beside its name and gets it at the end. "-" is
/// stdout, empty nothing.
class ResultFile {
public:
    /// A path that cannot be written must not cost half an hour: throws UsageError.
    explicit ResultFile(std::string path);
    ~ResultFile();
    ResultFile(const ResultFile &) = delete;
    ResultFile &operator=(const ResultFile &) = delete;

    /// False, and a sentence on stderr, when not all of it was written.
    bool write(const std::string &text);

    bool is_stdout() const { return path_ == "-"; }

private:
    bool write_file(const std::string &text);

    std::string path_, beside_;
    std::FILE *file_ = nullptr;
};

/// Prints, and says whether all of it was taken.
bool print(std::FILE *stream, const std::string &text);

/// What the process ends with: a run whose results could not be written has not passed.
judge::Outcome with_output(judge::Outcome outcome, bool written);

/// A sentence on stderr, and the verdict of a run that never started on `stream`; the exit code.
int complain(judge::Outcome outcome, const std::string &message, std::FILE *stream = stdout);

} // namespace fairq::driver::cli
