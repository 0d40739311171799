// engine.hpp: runs a plan against a database: checks that it may, runs the phases in order, judges the gates.
// Whatever happens, schedules are taken away and the load is stopped before it returns.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "engine/progress.hpp"
#include "engine/result.hpp"
#include "fault/cluster.hpp"
#include "plan/plan.hpp"

namespace fairq::driver::engine {

struct RunSettings {
    std::string conninfo;
    bool throwaway = false; ///< nobody else's data is there, and nothing has to be cleared at the end
    fault::Cluster *cluster = nullptr; ///< the throw-away one, for plans that hurt it
    bool yes = false;                  ///< runs beside other people's jobs
    bool keep = false;                 ///< leaves the data of the last phase

    /// Asks a person; without it the answer is no.
    std::function<bool(const std::string &question)> ask;
    std::uint64_t seed = 0;
    std::optional<Milliseconds> timeout; ///< of the whole run
    std::string again;
    std::optional<judge::Baseline> baseline; ///< of an earlier run
};

/// Throws SetupError when the run cannot start, or Interrupted; after that every failure is in the result.
RunResult run_plan(const plan::Plan &plan, const RunSettings &settings, Progress &progress);

} // namespace fairq::driver::engine
