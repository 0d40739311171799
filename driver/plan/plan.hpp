// plan.hpp: a load-test plan as plain data, after its profile and its options are applied. The engine runs
// what is here and knows no plan by name; reader.cpp makes it from TOML.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "judge/gates.hpp"
#include "plan/actors.hpp"
#include "units.hpp"

namespace fairq::driver::plan {

struct Phase {
    std::string name;
    std::string description;
    bool clear = true;    ///< clear_load_test_data() first; false: goes on with the jobs of the phase before
    bool history = false; ///< every commit is read again, and judged by caps and concurrency keys
    bool drain = true;    ///< ends when every job is finished; false: leaves them to the next phase
    std::vector<std::string> before; ///< SQL after clearing; ${schema} is the extension's
    std::vector<std::string> after;  ///< SQL at the end, before the figures are collected
    std::vector<SeedActor> seeds;
    std::vector<EnqueueActor> enqueues;
    std::vector<WorkerActor> workers;
    std::vector<ExternalWorkersActor> external;
    std::vector<CallsActor> calls;
    std::vector<HoldersActor> holders;
    std::vector<FaultsActor> faults;
    std::optional<Milliseconds> duration; ///< of the load; without it the load ends when everything is sent
    Milliseconds timeout{0};
    Milliseconds at_rest{0}; ///< nothing changed for so long: what is left is stuck
};

/// How a throw-away cluster is set up; a database of the user is left as it is.
struct ServerOptions {
    bool cron_background_workers = true;
    std::map<std::string, std::string> settings;
};

using Param = std::pair<std::string, std::string>;

struct Profile {
    std::string name;
    std::string description;
    std::optional<Milliseconds> takes; ///< about so long, for who chooses
};

struct Plan {
    std::string name;
    std::string path;
    std::string description;
    std::vector<std::string> rows; ///< of the requirements that it shows
    std::vector<std::string> undo; ///< SQL at the very end, however the run ends
    std::string profile;           ///< the chosen one; empty when the plan has none
    std::vector<Profile> profiles;
    std::vector<Param> params; ///< resolved
    Milliseconds sample_every{1000};
    ServerOptions server;
    std::vector<Phase> phases;
    std::vector<judge::Gate> gates; ///< of the plan, then of the ledger
};

struct PlanChoice {
    std::string profile;        ///< empty: the plan's default
    std::vector<Param> options; ///< override params
};

/// Reads a plan file. Throws UsageError that names file, line and key.
Plan read_plan(const std::string &path, const PlanChoice &choice);

/// The same from text; `path` is for messages.
Plan parse_plan(const std::string &text, const std::string &path, const PlanChoice &choice);

/// Throws judge::GateError, with the nearest name, for a gate on a phase, an actor or a tag that the plan does not have:
/// it would never have a sample.
void check_gate(const Plan &plan, const judge::Gate &gate);

/// The tags of an actor, by its phase and name.
measure::Tags tags_of(const Phase &phase, const std::string &actor);

/// True when the plan stops or kills the server.
bool strikes_server(const Plan &plan);

/// True when the plan needs pg_cron.
bool uses_cron(const Plan &plan);

/// The folders in which plans are looked for, by name, in order.
std::vector<std::string> plan_folders();

/// A path to a .toml file, or the name of a plan in one of the folders. Throws UsageError.
std::string find_plan(const std::string &name_or_path);

/// Paths of all plans in the folders, sorted, the first of a name wins.
std::vector<std::string> all_plans();

} // namespace fairq::driver::plan
