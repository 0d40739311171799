// plan.cpp: where plans are found, and the small questions that others ask of a plan.
// Reading one is reader.cpp.
#include "plan/plan.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <set>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "errors.hpp"

namespace fairq::driver::plan {

namespace fs = std::filesystem;

long long EnqueueActor::planned_jobs() const {
    return std::llround(per_second * static_cast<double>(duration.count()) / 1000.0);
}

std::string with_values(std::string text, const std::map<std::string, std::string> &values) {
    for (const auto &[name, value] : values) {
        const std::string place = "${" + name + "}";
        for (std::size_t at = text.find(place); at != std::string::npos;
             at = text.find(place, at + value.size()))
            text.replace(at, place.size(), value);
    }
    return text;
}

const std::vector<std::string> &fault_kind_names() {
    static const std::vector<std::string> names{"cut-session", "stop-fast",   "stop-immediate",
                                                "kill-server", "kill-worker", "freeze-worker",
                                                "crash-worker"};
    return names;
}

bool strikes_server(FaultKind kind) {
    return kind == FaultKind::stop_fast || kind == FaultKind::stop_immediate ||
           kind == FaultKind::kill_server;
}

bool strikes_worker(FaultKind kind) {
    return kind == FaultKind::kill_worker || kind == FaultKind::freeze_worker ||
           kind == FaultKind::crash_worker;
}

bool strikes_server(const Plan &plan) {
    return std::any_of(plan.phases.begin(), plan.phases.end(), [](const Phase &phase) {
        return std::any_of(phase.faults.begin(), phase.faults.end(),
                           [](const FaultsActor &faults) { return strikes_server(faults.kind); });
    });
}

bool uses_cron(const Plan &plan) {
    return std::any_of(plan.phases.begin(), plan.phases.end(), [](const Phase &phase) {
        return std::any_of(phase.workers.begin(), phase.workers.end(),
                           [](const WorkerActor &w) { return w.kind == WorkerKind::cron; });
    });
}

std::vector<std::string> plan_folders() {
    std::vector<std::string> folders;
    if (const char *configured = std::getenv("FAIRQ_PLANS"); configured != nullptr && *configured != '\0')
        folders.emplace_back(configured);
    std::error_code error;
    const fs::path binary = fs::read_symlink("/proc/self/exe", error);
    if (error)
        return folders;
    // Beside the binary, installed (bin/ and share/), in the source tree (build/ and driver/).
    const fs::path folder = binary.parent_path();
    for (const fs::path &place : {folder / "plans", folder.parent_path() / "share/fairq/plans",
                                  folder.parent_path() / "driver/plans"})
        folders.push_back(place.string());
    return folders;
}

std::string find_plan(const std::string &name_or_path) {
    const bool is_path =
        name_or_path.find('/') != std::string::npos || fs::path(name_or_path).extension() == ".toml";
    if (is_path) {
        if (!fs::is_regular_file(name_or_path))
            throw UsageError(fmt::format("there is no plan file {}", name_or_path));
        return name_or_path;
    }
    for (const std::string &folder : plan_folders()) {
        const fs::path candidate = fs::path(folder) / (name_or_path + ".toml");
        if (fs::is_regular_file(candidate))
            return candidate.string();
    }
    throw UsageError(fmt::format("there is no plan \"{}\"; fairq list shows the plans, looked for in: {}",
                                 name_or_path, fmt::join(plan_folders(), ", ")));
}

std::vector<std::string> all_plans() {
    std::vector<std::string> paths;
    std::set<std::string> names;
    for (const std::string &folder : plan_folders()) {
        std::error_code error;
        for (const auto &entry : fs::directory_iterator(folder, error))
            if (entry.path().extension() == ".toml" && names.insert(entry.path().stem().string()).second)
                paths.push_back(entry.path().string());
    }
    std::sort(paths.begin(), paths.end(), [](const std::string &a, const std::string &b) {
        return fs::path(a).stem() < fs::path(b).stem();
    });
    return paths;
}

} // namespace fairq::driver::plan
