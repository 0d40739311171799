// worker_figures.hpp: what several workers measured, and which jobs they hold at a time. Safe from several threads.
#pragma once

#include <mutex>

#include "actors/actor.hpp"
#include "actors/worker_loop.hpp"

namespace fairq::driver::actors {

class WorkerFigures {
public:
    WorkerFigures(const std::string &actor, std::size_t workers, judge::Journal &journal);

    void count(const std::string &metric, double more);
    void time(const std::string &metric, std::int64_t microseconds);

    /// Who runs beside a job of the same key broke the rule, if there is one.
    void hold(const ClaimedJob &job);
    void let_go(const ClaimedJob &job);

    /// Its worker is gone, or cannot do anything: whoever claims it next has recovered it.
    void orphan(const ClaimedJob &job);
    void completion(const std::vector<long long> &ids, judge::Event event);
    void worked(std::size_t worker, std::size_t jobs);
    void met(const std::exception &error);
    void note(const std::string &text);

    Figures so_far();

    /// With what is known at the end.
    Figures end();

private:
    std::mutex mutex_; // of all that follows
    Figures figures_;
    judge::Journal &journal_;
    std::map<std::string, int> held_; ///< jobs at once, by tenant, and by tenant and key
    std::map<long long, std::chrono::steady_clock::time_point> orphans_; ///< since when
    std::vector<long long> jobs_;                                        ///< completed, by worker
};

} // namespace fairq::driver::actors
