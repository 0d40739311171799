// processes.hpp: what /proc tells of processes. A process that goes away meanwhile counts nothing; where there is no
// /proc, nothing is known.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <sys/types.h>

#include "measure/system.hpp"

namespace fairq::driver::measure {

struct ProcessEntry {
    pid_t pid = 0, parent = 0;
    std::string name;
    double cpu_seconds = 0;          ///< its own
    double children_cpu_seconds = 0; ///< of children that it has waited for
};

/// Reads a line of /proc/PID/stat. The name may have blanks and parentheses.
std::optional<ProcessEntry> parse_stat(const std::string &line, double ticks_per_second);

/// All processes that this one may see.
std::vector<ProcessEntry> all_processes();

/// One process alone.
ProcessUse use_of_one(const std::vector<ProcessEntry> &processes, pid_t pid);

/// A process with all that come from it, but without those of `but`. The time of children that have ended is in
/// their parent's.
ProcessUse use_of_tree(const std::vector<ProcessEntry> &processes, pid_t root, pid_t but = 0);

/// Those that come from a process, without itself, and without those of `but`.
ProcessUse use_of_children(const std::vector<ProcessEntry> &processes, pid_t root, pid_t but = 0);

} // namespace fairq::driver::measure
