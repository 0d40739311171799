// actor.hpp: what acts in a phase, as the engine sees it: it acts on threads of its own from when it is made
// until it is stopped, and then tells what it measured. make_actors() is the registry: one line a kind.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "db/database.hpp"
#include "judge/journal.hpp"
#include "measure/histogram.hpp"
#include "measure/metrics.hpp"
#include "measure/timeline.hpp"
#include "plan/plan.hpp"

namespace fairq::driver::fault {
class Cluster;
class WorkerPool;
} // namespace fairq::driver::fault

namespace fairq::driver::actors {

/// A fault from when it struck until what it hit was there again, in seconds since its actor began.
struct FaultWindow {
    double from = 0, to = 0;
    bool fired = false;
};

struct SqlErrors {
    long long count = 0;
    std::string example; ///< the first one's message
    bool expected = false;
};

/// What an actor measured, under the names of the catalogue. Not safe from several threads at once.
struct Figures {
    std::string actor;  ///< its name in the plan
    measure::Tags tags; ///< that the plan gives it
    std::chrono::steady_clock::time_point began = std::chrono::steady_clock::now();
    std::map<std::string, measure::Histogram> times; ///< metric → microseconds
    std::map<std::string, measure::Timeline> spread; ///< the same, by the second
    std::map<std::string, double> numbers;
    std::map<std::string, SqlErrors> errors; ///< by SQLSTATE; empty: a lost connection
    std::vector<FaultWindow> windows;
    long long planned = 0; ///< calls or jobs that it was to send
    long long in_time = 0; ///< of those: begun before the planned end, or soon after
    std::vector<std::string> notes;

    /// A time that ends now.
    void record(const std::string &metric, std::int64_t microseconds);

    void count_error(const db::DatabaseError &error, bool expected = false);

    /// Seconds since it began.
    double seconds() const;
};

/// What all actors of a run share. Every actor opens connections of its own.
struct Stage {
    std::string conninfo;
    std::string schema;
    std::string run_id;
    std::uint64_t seed = 0;
    judge::Journal &journal;
    fault::Cluster *cluster = nullptr;       ///< the throw-away cluster, if it is one
    std::uint32_t &senders;                  ///< so far: each gets the next number
    std::shared_ptr<fault::WorkerPool> pool; ///< of workers that are processes
};

class Actor {
public:
    Actor() = default;
    virtual ~Actor() = default;
    Actor(const Actor &) = delete;
    Actor &operator=(const Actor &) = delete;

    /// True for who brings load: the load is over when all of these are finished. Others stay until it is
    /// drained.
    virtual bool brings_load() const { return false; }
    virtual bool finished() const { return false; }

    /// What it has measured so far, for gates that are judged while the phase goes on.
    virtual Figures so_far() { return {}; }

    /// Jobs or calls so far.
    virtual long long done() const { return 0; }

    /// Ends it, statements that run included. Once.
    virtual Figures stop() = 0;
};

/// The actors of a phase that are not the server's own workers, started.
std::vector<std::unique_ptr<Actor>> make_actors(const plan::Phase &phase, const Stage &stage);

} // namespace fairq::driver::actors
