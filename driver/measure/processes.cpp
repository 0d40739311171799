// processes.cpp: see processes.hpp.
#include "measure/processes.hpp"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

#include <unistd.h>

#include <fmt/format.h>

namespace fairq::driver::measure {
namespace {

namespace fs = std::filesystem;

/// Pages that are resident and not shared.
double private_bytes(pid_t pid) {
    std::ifstream file(fmt::format("/proc/{}/statm", pid));
    double size = 0, resident = 0, shared = 0;
    if (!(file >> size >> resident >> shared))
        return 0;
    return std::max(0.0, resident - shared) * static_cast<double>(sysconf(_SC_PAGESIZE));
}

int descriptors(pid_t pid) {
    std::error_code error;
    fs::directory_iterator entries(fmt::format("/proc/{}/fd", pid), error);
    int count = 0;
    for (; !error && entries != fs::directory_iterator(); entries.increment(error))
        ++count;
    return count;
}

ProcessUse use_of(const ProcessEntry &process) {
    return {1, process.cpu_seconds + process.children_cpu_seconds, private_bytes(process.pid),
            descriptors(process.pid)};
}

} // namespace

std::optional<ProcessEntry> parse_stat(const std::string &line, double ticks_per_second) {
    const std::size_t open = line.find('('), close = line.rfind(')');
    if (open == std::string::npos || close == std::string::npos || close < open)
        return std::nullopt;
    ProcessEntry entry;
    std::istringstream(line.substr(0, open)) >> entry.pid;
    entry.name = line.substr(open + 1, close - open - 1);
    std::istringstream rest(line.substr(close + 1));
    std::string state, skipped;
    rest >> state >> entry.parent;
    for (int i = 0; i < 9; ++i) // pgrp session tty tpgid flags minflt cminflt majflt cmajflt
        rest >> skipped;
    double user = 0, system = 0, children_user = 0, children_system = 0;
    if (!(rest >> user >> system >> children_user >> children_system) || entry.pid == 0)
        return std::nullopt;
    entry.cpu_seconds = (user + system) / ticks_per_second;
    entry.children_cpu_seconds = (children_user + children_system) / ticks_per_second;
    return entry;
}

std::vector<ProcessEntry> all_processes() {
    static const double ticks = static_cast<double>(sysconf(_SC_CLK_TCK));
    std::vector<ProcessEntry> processes;
    std::error_code error;
    fs::directory_iterator folders("/proc", error);
    for (; !error && folders != fs::directory_iterator(); folders.increment(error)) {
        const std::string name = folders->path().filename().string();
        if (name.empty() || name.find_first_not_of("0123456789") != std::string::npos)
            continue;
        std::ifstream file(folders->path() / "stat");
        std::string line;
        if (std::getline(file, line))
            if (const auto entry = parse_stat(line, ticks))
                processes.push_back(*entry);
    }
    return processes;
}

ProcessUse use_of_one(const std::vector<ProcessEntry> &processes, pid_t pid) {
    for (const ProcessEntry &process : processes)
        if (process.pid == pid)
            return {1, process.cpu_seconds, private_bytes(pid), descriptors(pid)};
    return {};
}

ProcessUse use_of_children(const std::vector<ProcessEntry> &processes, pid_t root, pid_t but) {
    ProcessUse use;
    for (const ProcessEntry &process : processes)
        if (process.parent == root && process.pid != but && process.pid != root) {
            use += use_of(process);
            use += use_of_children(processes, process.pid, but);
        }
    return use;
}

ProcessUse use_of_tree(const std::vector<ProcessEntry> &processes, pid_t root, pid_t but) {
    ProcessUse use = use_of_children(processes, root, but);
    for (const ProcessEntry &process : processes)
        if (process.pid == root)
            use += use_of(process);
    return use;
}

} // namespace fairq::driver::measure
