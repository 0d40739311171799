// output.cpp: see output.hpp.
#include "cli/output.hpp"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

#include <fmt/format.h>

#include "errors.hpp"
#include "text.hpp"

namespace fairq::driver::cli {

ResultFile::ResultFile(std::string path) : path_(std::move(path)) {
    if (path_.empty() || path_ == "-")
        return;
    // A device or a pipe has to be written as it is.
    std::error_code error;
    const bool special =
        std::filesystem::exists(path_, error) && !std::filesystem::is_regular_file(path_, error);
    beside_ = special ? path_ : path_ + ".part";
    file_ = std::fopen(beside_.c_str(), "w");
    if (file_ == nullptr)
        throw UsageError(fmt::format("cannot write {}: {}", path_, std::strerror(errno)));
}

ResultFile::~ResultFile() {
    if (file_ == nullptr)
        return;
    std::fclose(file_);
    if (beside_ != path_)
        std::remove(beside_.c_str());
}

bool ResultFile::write_file(const std::string &text) {
    const bool written = print(file_, text);
    const bool closed = std::fclose(std::exchange(file_, nullptr)) == 0;
    if (written && closed && (beside_ == path_ || std::rename(beside_.c_str(), path_.c_str()) == 0))
        return true;
    const int reason = errno;
    if (beside_ != path_)
        std::remove(beside_.c_str());
    errno = reason;
    return false;
}

bool ResultFile::write(const std::string &text) {
    if (path_.empty())
        return true;
    if (is_stdout() ? print(stdout, text) : write_file(text))
        return true;
    fmt::print(stderr, "fairq: cannot write {}: {}\n", is_stdout() ? "to stdout" : path_,
               std::strerror(errno));
    return false;
}

bool print(std::FILE *stream, const std::string &text) {
    return std::fwrite(text.data(), 1, text.size(), stream) == text.size() && std::fflush(stream) == 0;
}

judge::Outcome with_output(judge::Outcome outcome, bool written) {
    return written || outcome != judge::Outcome::pass ? outcome : judge::Outcome::unwritten;
}

int complain(judge::Outcome outcome, const std::string &message, std::FILE *stream) {
    print(stderr, fmt::format("fairq: {}\n", printable(message)));
    print(stream, fmt::format("{}\n0 passed, 1 failed\n", outcome_word(outcome)));
    return exit_code(outcome);
}

} // namespace fairq::driver::cli
