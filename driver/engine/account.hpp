// account.hpp: what a phase shows beside the account of its jobs: the history of its commits, and what it left behind.
#pragma once

#include <memory>

#include "db/history.hpp"
#include "engine/phase.hpp"

namespace fairq::driver::engine {

/// For a phase that wants its history, where the server can give one; nothing otherwise, and the result says why.
std::unique_ptr<db::History> begin_history(RunContext &context, const plan::Phase &phase, PhaseResult &result,
                                           judge::HistoryJudge &judge);

/// Judges it. A history that was lost is said, and its gates have no samples.
void end_history(db::History &history, judge::HistoryJudge &judge, PhaseResult &result);

/// Of a phase that has drained, when its actors have ended: sessions may take a moment to go.
void look_for_leaks(RunContext &context, PhaseResult &result);

} // namespace fairq::driver::engine
