// phase.hpp: one phase of a plan, from clearing to its figures: seeds, starts actors, watches until the end,
// stops what is not to stay, and takes the account by id before the next phase clears it away.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "actors/load.hpp"
#include "actors/workers.hpp"
#include "engine/progress.hpp"
#include "engine/result.hpp"

namespace fairq::driver::engine {

/// What the phases of a run share.
struct RunContext {
    const plan::Plan &plan;
    db::Database &control;
    db::QueueClient &client;
    actors::WorkerSet &workers;
    Progress &progress;
    std::string schema;
    std::string run_id;
    std::uint64_t seed = 0;
    std::chrono::steady_clock::time_point deadline; ///< of the whole run
};

class PhaseRunner {
public:
    PhaseRunner(RunContext &context, const plan::Phase &phase);

    /// Runs the phase. A server that goes away and comes back is waited for; other errors are DatabaseError.
    PhaseResult run();

private:
    using Clock = std::chrono::steady_clock;

    void prepare();
    void seed(const plan::SeedActor &seed);
    void start_senders();
    PhaseEnd watch();
    void poll(db::QueueSnapshot &snapshot);
    std::optional<PhaseEnd> ended(const db::QueueSnapshot &snapshot);
    bool sending() const;
    long long sent() const;
    void show(const db::QueueSnapshot &snapshot, bool connected);
    void explain_delay();
    void finish_senders();
    void collect();
    void collect_ledger();
    void settled(const std::function<void()> &work) const;

    RunContext &context_;
    const plan::Phase &phase_;
    PhaseResult result_;
    judge::LedgerInput ledger_;
    long long seeded_ = 0;
    long long seed_shortfall_ = 0;
    std::vector<std::unique_ptr<actors::LoadSender>> senders_;
    Clock::time_point start_;
    Clock::time_point last_change_;
    std::string last_state_;
};

} // namespace fairq::driver::engine
