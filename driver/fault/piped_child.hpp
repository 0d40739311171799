// piped_child.hpp: a child process of ours that we talk with, line by line, over its stdin and stdout.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <sys/types.h>

#include "units.hpp"

namespace fairq::driver::fault {

class PipedChild {
public:
    /// Throws SetupError. The child is in a process group of its own: a Ctrl-C on the terminal is not for it. Its stdin ends
    /// when we do; should it be stopped then, the kernel wakes it with a SIGHUP.
    explicit PipedChild(const std::vector<std::string> &arguments);

    /// Kills it, if it is still there.
    ~PipedChild();
    PipedChild(const PipedChild &) = delete;
    PipedChild &operator=(const PipedChild &) = delete;

    pid_t pid() const { return pid_; }

    /// A line that a child which has ended does not get.
    void send(const std::string &line) const;

    enum class Read { line, nothing, end };

    /// Waits for the next line, at most so long.
    Read read(std::string &line, Milliseconds patience);

    /// Waits for its end, and leaves its pid to it: the signal that ended it, 0 for none.
    int wait_for_end() const;

    /// Gives its pid back.
    void reap();

private:
    pid_t pid_ = -1;
    int socket_ = -1;
    std::string buffer_;
};

/// The fairq binary: this one, or the one beside it.
std::string own_binary();

} // namespace fairq::driver::fault
