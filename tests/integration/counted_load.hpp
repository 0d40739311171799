// counted_load.hpp: several workers on one queue, and what they saw, measured on a clock that counts claims
// and not seconds: so a slow machine sees the same as a fast one.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "judge/fairness.hpp"
#include "queue_checker.hpp"

namespace fairq::test {

using driver::judge::Waits;

/// A job that a worker got.
struct SeenJob {
    std::int64_t id;
    std::string tenant, type;
    std::int64_t at;         ///< when it was claimed, by the server's clock, in microseconds
    std::int64_t tick;       ///< how many claims all clients had made when this one was back
    std::int64_t completing; ///< the same, when its completion was about to be asked for
};

/// One load: its workers, its jobs. Shared by the threads that make it.
class CountedLoad {
public:
    explicit CountedLoad(std::string conninfo) : conninfo_(std::move(conninfo)) {}

    struct Workers {
        int sessions = 8;
        int max_jobs = 1;           ///< of a claim
        std::function<bool()> done; ///< asked before each claim
        std::function<void(driver::Database &, const SeenJob &)>
            work; ///< what to do with a job; may be empty
        bool complete = true;
    };

    /// Until all of them are done. Throws what the first of them threw.
    void run(const Workers &workers);

    /// Enqueues and remembers when. Safe from several threads.
    std::vector<std::int64_t> enqueue(driver::Database &database, const std::vector<std::string> &tenants,
                                      const std::string &type, const std::string &options = "");

    std::int64_t jobs() const { return jobs_; }           ///< claimed so far
    std::int64_t ticks() const { return ticks_; }         ///< claims made so far
    std::int64_t completed() const { return completed_; } ///< accepted so far

    /// In the order of their claims; not while workers run.
    const std::vector<SeenJob> &seen() const { return seen_; }
    Replies replies() const;

    /// How many jobs of each tenant are among the `to` first but for the `from` first.
    std::map<std::string, std::int64_t> claimed(std::int64_t from, std::int64_t to) const;

    /// From enqueue to claim, for jobs of this type: how many claims were made meanwhile by anybody, empty
    /// ones too. In the order in which the server began them: a client that the kernel stops just then makes
    /// nothing look longer.
    Waits waits_in_claims(const std::string &type) const;
    Waits waits_in_microseconds(const std::string &type) const;

private:
    void work(const Workers &workers);
    bool claim_once(driver::Database &database, const Workers &workers);
    std::vector<SeenJob> claim(driver::Database &database, int max_jobs, std::string &lock_token);
    const std::string conninfo_;
    std::atomic<std::int64_t> jobs_{0}, ticks_{0}, completed_{0};
    std::atomic<bool> failed_{false};
    std::mutex mutex_; // of what follows
    std::vector<SeenJob> seen_;
    std::vector<std::int64_t> claims_;              // when, by the server's clock
    std::map<std::int64_t, std::int64_t> enqueued_; // likewise, by job
    std::vector<std::int64_t> accepted_;
    std::vector<std::string> errors_;
};

} // namespace fairq::test
