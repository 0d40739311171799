// result.hpp: everything that a run found out, as plain data: the engine fills it, the reports print it.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "actors/actor.hpp"
#include "db/queue_client.hpp"
#include "judge/gates.hpp"
#include "judge/ledger.hpp"
#include "judge/verdict.hpp"
#include "measure/system.hpp"
#include "plan/plan.hpp"

namespace fairq::driver::engine {

/// `sent`: the load is over, and the phase leaves its jobs to the next one.
enum class PhaseEnd { drained, sent, timeout, at_rest, gate_failed, interrupted, failed };

std::string phase_end_word(PhaseEnd end);

/// One sample of the run, for the series of the JSON.
struct SamplePoint {
    double at_seconds = 0; ///< since the phase began
    long long queued = 0;
    long long locked = 0;
    long long completed = 0;
    std::optional<double> oldest_seconds;
    double poll_ms = 0;
};

struct PhaseResult {
    std::string name;
    PhaseEnd end = PhaseEnd::drained;
    std::string started_at; ///< server clock
    double wall_seconds = 0;
    std::optional<db::DrainTimes> drain;
    std::vector<db::Tick> ticks; ///< those that claimed something
    judge::Ledger ledger;
    std::vector<SamplePoint> series;
    long long missed_samples = 0;
    long long planned_jobs = 0; ///< of those that send jobs
    long long sent_in_time = 0;
    std::vector<actors::Figures> figures;                      ///< of each actor
    std::chrono::steady_clock::time_point began, actors_began; ///< of the phase; of its load
    measure::SystemFigures system;                             ///< since its load began
    bool goes_on = false; ///< with the jobs of the phase before, whose account this one's contains
    db::OutboxDuplicates outbox;
    std::optional<db::StuckReport> stuck;
    bool leaks_looked = false;                   ///< for what should be gone
    std::optional<int> judged_claims;            ///< in the history of commits; none: there is no history
    std::string no_history;                      ///< why the server could not give one
    std::optional<judge::GateResult> stopped_by; ///< the gate that ended it early
    std::vector<std::string> notes;
};

struct RunResult {
    const plan::Plan *plan = nullptr;
    std::string run_id;
    std::uint64_t seed = 0;
    std::string generated_at; ///< UTC
    std::string again;        ///< the command that repeats the run
    bool throwaway = false;
    std::vector<std::string> notes; ///< what the run could not take away, say
    db::ServerInfo server;
    std::string cron_version;
    double wall_seconds = 0;
    int reconnects = 0;
    bool interrupted = false;
    bool complete = true; ///< every phase ran to its end
    std::vector<PhaseResult> phases;
    judge::Ledger ledger;
    std::vector<judge::GateResult> gates;
    judge::Outcome outcome = judge::Outcome::inconclusive;
};

/// Puts what a phase measured under the names that gates use.
void add_samples(measure::Samples &samples, const PhaseResult &phase);

/// Judges all gates of the plan and settles the outcome.
void conclude(RunResult &run, measure::Samples samples, const judge::Baseline *baseline = nullptr);

} // namespace fairq::driver::engine
