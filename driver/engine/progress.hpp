// progress.hpp: what a person sees while a run goes on, on stderr: one live line on a terminal, a plain line
// every few seconds elsewhere, nothing when quiet. The text of a line is a pure function.
#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>

#include "units.hpp"

namespace fairq::driver::engine {

struct LiveState {
    std::string plan;
    std::string phase;
    Milliseconds elapsed{0};
    long long expected = 0; ///< jobs of the phase, those still to be sent included
    long long completed = 0;
    long long running = 0;
    long long waiting = 0;
    std::optional<double> oldest_seconds;
    long long missed_samples = 0;
    bool connected = true;
};

/// scaling  [####------]  42%  single 17s  done 420/1,000  run 50  wait 530  oldest 12s
/// At most so many columns.
std::string live_line(const LiveState &state, std::size_t columns = 100);

class Progress {
public:
    enum class Mode { live, plain, quiet };

    Progress(Mode mode, Milliseconds interval) : mode_(mode), interval_(interval) {}
    ~Progress() { end_line(); }
    Progress(const Progress &) = delete;
    Progress &operator=(const Progress &) = delete;

    /// Live when stderr is a terminal that can redraw and CI is not set; quiet when asked for.
    static Mode choose(bool quiet);

    void update(const LiveState &state);

    /// A sentence of its own, always on a fresh line.
    void note(const std::string &text);

private:
    void end_line();

    Mode mode_;
    Milliseconds interval_;
    std::chrono::steady_clock::time_point last_{};
    bool line_open_ = false;
};

} // namespace fairq::driver::engine
