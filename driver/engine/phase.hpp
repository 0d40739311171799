// phase.hpp: one phase of a plan, from clearing to its figures: seeds, starts actors, watches until the load
// is over and all is drained, stops what is not to stay, and takes the account by id before the next phase
// clears it away.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "actors/actor.hpp"
#include "actors/sampler.hpp"
#include "actors/workers.hpp"
#include "db/history.hpp"
#include "db/run_lock.hpp"
#include "engine/progress.hpp"
#include "engine/result.hpp"
#include "fault/cluster.hpp"

namespace fairq::driver::engine {

/// What the phases of a run share.
struct RunContext {
    const plan::Plan &plan;
    db::Database &control;
    db::QueueClient &client;
    actors::WorkerSet &workers;
    db::RunLock &lock;
    fault::Cluster *cluster; ///< null: not ours
    judge::Journal &journal; ///< of the jobs since the last clearing
    Progress &progress;
    std::string schema;
    std::string run_id;
    std::uint64_t seed = 0;
    std::uint32_t senders = 0;                      ///< so far
    std::string cleared_at;                         ///< server clock
    std::chrono::steady_clock::time_point deadline; ///< of the whole run
    const judge::Baseline *baseline = nullptr;      ///< of an earlier run, if there is one
};

/// Load-test jobs that are not of the run. clear_load_test_data() would take them away as well.
long long foreign_jobs(RunContext &context);

class PhaseRunner {
public:
    PhaseRunner(RunContext &context, const plan::Phase &phase);

    /// Runs the phase. A server that goes away and comes back is waited for; a signal ends it at once, and
    /// other errors too: what is known by then is in the result all the same.
    PhaseResult run();

private:
    using Clock = std::chrono::steady_clock;

    void load();
    void finish();
    void prepare();
    void clear();
    void seed(const plan::SeedActor &seed);
    long long write_down_seeded(const plan::SeedActor &seed, long long &after);
    void start_actors();
    PhaseEnd watch();
    void poll(db::QueueSnapshot &snapshot);
    std::optional<PhaseEnd> ended(const db::QueueSnapshot &snapshot);
    bool loading() const;
    long long sent() const;
    void show(const db::QueueSnapshot &snapshot, bool connected);
    void say_what_hangs();
    void explain_delay();
    bool gate_failed();
    void stop_actors(bool only_load);
    void stop_sampler();
    void collect();
    void collect_ledger();
    void settled(const std::function<void()> &work) const;

    RunContext &context_;
    const plan::Phase &phase_;
    PhaseResult result_;
    long long seeded_ = 0;
    long long missing_seeds_ = 0; ///< fewer than asked for
    long long extra_seeds_ = 0;   ///< more
    bool explained_ = false;      ///< said what hangs, since something moved last
    std::vector<std::unique_ptr<actors::Actor>> actors_;
    judge::HistoryJudge history_judge_;
    std::unique_ptr<db::History> history_; ///< null: nobody wants one
    std::unique_ptr<actors::Sampler> sampler_;
    Clock::time_point start_;
    Clock::time_point last_change_;
    std::string last_state_;
};

} // namespace fairq::driver::engine
