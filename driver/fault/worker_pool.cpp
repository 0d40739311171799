// worker_pool.cpp: see worker_pool.hpp.
#include "fault/worker_pool.hpp"

#include <csignal>
#include <fstream>
#include <vector>

namespace fairq::driver::fault {

WorkerPool::Kept *WorkerPool::living(Id id) {
    const auto found = members_.find(id);
    return found == members_.end() || found->second.ending ? nullptr : &found->second;
}

WorkerPool::Id WorkerPool::add(const Member &member) {
    const std::lock_guard<std::mutex> lock(mutex_);
    members_[++last_].member = member;
    return last_;
}

void WorkerPool::holds(Id id, int jobs) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (Kept *kept = living(id))
        kept->jobs = jobs;
}

void WorkerPool::ended(Id id, int signal) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (Kept *kept = living(id)) {
        kept->ending = signal;
        kept->member = Member{};
    }
}

std::optional<WorkerPool::Id> WorkerPool::pick(bool holding) {
    const std::lock_guard<std::mutex> lock(mutex_);
    std::vector<Id> fit;
    for (const auto &[id, kept] : members_)
        if (!kept.ending && (kept.jobs > 0 || !holding))
            fit.push_back(id);
    if (fit.empty())
        return std::nullopt;
    return fit[std::uniform_int_distribution<std::size_t>(0, fit.size() - 1)(random_)];
}

bool WorkerPool::signal(Id id, int number) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const Kept *kept = living(id);
    return kept != nullptr && ::kill(kept->member.pid, number) == 0;
}

bool WorkerPool::tell(Id id, const std::string &line) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const Kept *kept = living(id);
    if (kept != nullptr)
        kept->member.tell(line);
    return kept != nullptr;
}

void WorkerPool::forget(Id id) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (const Kept *kept = living(id))
        kept->member.forget();
}

bool WorkerPool::is_stopped(Id id) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const Kept *kept = living(id);
    if (kept == nullptr)
        return false;
    std::ifstream file("/proc/" + std::to_string(kept->member.pid) + "/stat");
    std::string line;
    std::getline(file, line);
    const std::size_t name = line.rfind(')'); // the state stands behind the name, which may hold anything
    return name != std::string::npos && name + 2 < line.size() && line[name + 2] == 'T';
}

std::optional<int> WorkerPool::ending(Id id) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = members_.find(id);
    return found == members_.end() ? std::nullopt : found->second.ending;
}

} // namespace fairq::driver::fault
