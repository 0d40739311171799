// worker_figures.cpp: see worker_figures.hpp.
#include "actors/worker_figures.hpp"

#include <algorithm>

namespace fairq::driver::actors {
namespace {

constexpr std::size_t kKeptNotes = 5;

}

WorkerFigures::WorkerFigures(const std::string &actor, std::size_t workers, judge::Journal &journal)
    : journal_(journal), jobs_(workers) {
    figures_.actor = actor;
    for (const char *counter : {"claims", "empty_claims", "failed_attempts", "stale_completions",
                                "worker_errors", "keyed_jobs", "key_overlaps", "reconnects", "round_trips"})
        figures_.numbers[counter] = 0;
}

void WorkerFigures::note(const std::string &text) {
    const std::lock_guard<std::mutex> lock(mutex_);
    auto &notes = figures_.notes;
    if (notes.size() < kKeptNotes && std::find(notes.begin(), notes.end(), text) == notes.end())
        notes.push_back(text);
}

void WorkerFigures::met(const std::exception &error) {
    count("worker_errors", 1);
    note(error.what());
    if (const auto *sql = dynamic_cast<const db::DatabaseError *>(&error)) {
        const std::lock_guard<std::mutex> lock(mutex_);
        figures_.count_error(*sql);
    }
}

void WorkerFigures::count(const std::string &metric, double more) {
    const std::lock_guard<std::mutex> lock(mutex_);
    figures_.numbers[metric] += more;
}

void WorkerFigures::time(const std::string &metric, std::int64_t microseconds) {
    const std::lock_guard<std::mutex> lock(mutex_);
    figures_.record(metric, microseconds);
}

void WorkerFigures::hold(const ClaimedJob &job) {
    const std::lock_guard<std::mutex> lock(mutex_);
    double &most = figures_.numbers["tenant_running_max"];
    most = std::max(most, static_cast<double>(++held_[job.tenant]));
    if (const auto orphan = orphans_.find(job.id); orphan != orphans_.end()) {
        figures_.record("recovery_ms", std::chrono::duration_cast<std::chrono::microseconds>(
                                           std::chrono::steady_clock::now() - orphan->second)
                                           .count());
        orphans_.erase(orphan);
    }
    if (job.key.empty())
        return;
    figures_.numbers["keyed_jobs"] += 1;
    figures_.numbers["key_overlaps"] += ++held_[job.tenant + '\n' + job.key] > 1 ? 1 : 0;
}

void WorkerFigures::let_go(const ClaimedJob &job) {
    const std::lock_guard<std::mutex> lock(mutex_);
    --held_[job.tenant];
    if (!job.key.empty())
        --held_[job.tenant + '\n' + job.key];
}

void WorkerFigures::orphan(const ClaimedJob &job) {
    let_go(job);
    const std::lock_guard<std::mutex> lock(mutex_);
    orphans_[job.id] = std::chrono::steady_clock::now();
}

void WorkerFigures::completion(const std::vector<long long> &ids, judge::Event event) {
    std::vector<judge::JournalEntry> entries;
    for (const long long id : ids)
        entries.push_back({id, 0, 0, event});
    journal_.append(entries);
}

void WorkerFigures::worked(std::size_t worker, std::size_t jobs) {
    const std::lock_guard<std::mutex> lock(mutex_);
    jobs_[worker] += static_cast<long long>(jobs);
}

Figures WorkerFigures::so_far() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return figures_;
}

Figures WorkerFigures::end() {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto [least, most] = std::minmax_element(jobs_.begin(), jobs_.end());
    if (*most > 0 && jobs_.size() > 1)
        figures_.numbers["worker_share"] = *least == 0
                                               ? static_cast<double>(*most)
                                               : static_cast<double>(*most) / static_cast<double>(*least);
    return std::move(figures_);
}

} // namespace fairq::driver::actors
