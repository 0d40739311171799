// process.hpp: child processes by fork and exec, known by their pid only. As root they run as
// another user, because PostgreSQL refuses root. A child never outlives the driver: the kernel
// signals it when the driver dies.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include <sys/types.h>

#include "units.hpp"

namespace fairq::driver::fault {

struct Identity {
    uid_t uid;
    gid_t gid;
    std::string name;
};

/// Who runs the server: this user, or `postgres` when this is root. Throws SetupError when root finds no such
/// user.
Identity server_identity();

struct Command {
    std::vector<std::string> arguments; ///< the first is the program's path
    std::string output;                 ///< file that takes stdout and stderr, appended
    std::string folder = "/";           ///< working directory
};

class Process {
public:
    Process() = default;
    ~Process();
    Process(Process &&other) noexcept;
    Process &operator=(Process &&other) noexcept;

    /// Starts the command as `identity`, in its own session: a Ctrl-C on the terminal is not for it. Call it
    /// on a thread that lives as long as the driver: the kernel takes that thread's end for the parent's.
    static Process start(const Command &command, const Identity &identity);

    bool running();
    pid_t pid() const { return pid_; }

    /// Waits for the end; returns the exit code, or 128 + signal.
    int wait();

    /// Waits at most so long, and no longer than `give_up` says; false when it is still running.
    bool wait_for(Milliseconds patience, const std::function<bool()> &give_up = {});

    void signal(int number) const;

    /// Ends it at once, and waits.
    void kill();

    /// The same, with every process that it has started and that stayed in its session.
    void kill_all();

private:
    pid_t pid_ = -1;
    int status_ = 0;
};

} // namespace fairq::driver::fault
