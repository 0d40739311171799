// progress.cpp: see progress.hpp. Never writes to stdout: that is for results, so that
// `fairq run x | tee` stays clean.
#include "engine/progress.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>

#include <sys/ioctl.h>
#include <unistd.h>

#include <fmt/format.h>

#include "text.hpp"

namespace fairq::driver::engine {
namespace {

constexpr std::size_t kWidth = 100, kNarrowest = 40;
constexpr long long kBarLength = 10;
constexpr Milliseconds kRedraw{250};

std::string wall_clock() {
    const std::time_t now = std::time(nullptr);
    std::tm parts{};
    localtime_r(&now, &parts);
    char text[16];
    return std::strftime(text, sizeof text, "%H:%M:%S", &parts) > 0 ? text : "";
}

std::string variable(const char *name) {
    const char *value = std::getenv(name);
    return value != nullptr ? value : "";
}

/// A line that is wider than the terminal could not be redrawn.
std::size_t columns() {
    winsize size{};
    const bool known = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
    return known ? std::clamp<std::size_t>(size.ws_col - 1U, kNarrowest, kWidth) : kWidth;
}

} // namespace

std::string live_line(const LiveState &state, std::size_t columns) {
    const long long percent =
        state.expected > 0 ? std::min(100LL, state.completed * 100 / state.expected) : 0;
    const auto filled = static_cast<std::size_t>(percent * kBarLength / 100);
    std::string line =
        fmt::format("{}  [{}{}] {:3}%  {} {}  done {}/{}  run {}  wait {}", state.plan,
                    std::string(filled, '#'), std::string(kBarLength - filled, '-'), percent, state.phase,
                    format_duration(state.elapsed), format_count(state.completed),
                    format_count(state.expected), format_count(state.running), format_count(state.waiting));
    if (state.missed_samples > 0)
        line += fmt::format("  missed {}", state.missed_samples);
    if (!state.connected)
        line += "  reconnecting"; // all the rest is old
    else if (state.oldest_seconds)
        line += fmt::format("  oldest {:.0f}s", *state.oldest_seconds);
    return clipped(printable(line), columns, true);
}

Progress::Mode Progress::choose(bool quiet) {
    if (quiet)
        return Mode::quiet;
    const std::string ci = variable("CI");
    const bool plain =
        isatty(STDERR_FILENO) == 0 || variable("TERM") == "dumb" || (!ci.empty() && ci != "false");
    return plain ? Mode::plain : Mode::live;
}

void Progress::update(const LiveState &state) {
    if (mode_ == Mode::quiet)
        return;
    const auto now = std::chrono::steady_clock::now();
    const bool first = last_.time_since_epoch().count() == 0;
    if (!first && now - last_ < (mode_ == Mode::plain ? interval_ : kRedraw))
        return;
    last_ = now;
    if (mode_ == Mode::plain) {
        std::fprintf(stderr, "%s  %s\n", wall_clock().c_str(), live_line(state).c_str());
        return;
    }
    std::fprintf(stderr, "\r\033[K%s", live_line(state, columns()).c_str());
    std::fflush(stderr);
    line_open_ = true;
}

void Progress::note(const std::string &text) {
    if (mode_ == Mode::quiet)
        return;
    end_line();
    std::fprintf(stderr, "%s%s\n", mode_ == Mode::plain ? (wall_clock() + "  ").c_str() : "",
                 printable(text).c_str());
    last_ = {};
}

void Progress::end_line() {
    if (line_open_)
        std::fprintf(stderr, "\r\033[K");
    line_open_ = false;
}

} // namespace fairq::driver::engine
