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
#include "plan/mix.hpp"
#include "plan/schedule.hpp"
#include "units.hpp"

namespace fairq::driver::plan {

/// Queues `jobs` jobs over `tenants` tenants with seed_load_test_jobs().
struct SeedActor {
    long long jobs = 0;
    long long tenants = 0;
};

/// Sends jobs at a fixed rate, whatever the queue does (open loop).
struct EnqueueActor {
    std::string name = "enqueue";
    double per_second = 0;
    Milliseconds duration{0};
    long long tenants = 1;
    long long work_ms = 10;

    long long planned_jobs() const;
};

enum class WorkerKind { cron, tick };

/// Drains the queue inside the server: ticks that pg_cron starts, or that a connection of the driver calls.
struct WorkerActor {
    WorkerKind kind = WorkerKind::cron;
    std::string job; ///< name of the cron job
    long long workers = 1;
    Milliseconds every{60'000};
    bool keep = false; ///< stays for the next phase, which names the same job
};

/// Workers as applications have them, outside of the server.
struct ExternalWorkersActor {
    std::string name = "workers";
    long long workers = 1;
    long long batch = 50;
    long long tenant_cap = 25;
    std::optional<Milliseconds> work; ///< for each job; none: its payload's work_ms
    double fail = 0;                  ///< the share of attempts that fail
};

/// A statement, called as its users would.
struct CallsActor {
    std::string name;
    std::string sql; ///< with ${tenant}, ${key}, ${n}
    std::vector<Stage> stages;
    bool poisson = false;
    long long connections = 1;
    long long tenants = 1;
    Spread spread = Spread::even;
    bool enqueues =
        false; ///< its first column is the id of a load_test job with ${key}: it goes into the ledger
    bool fresh = false;              ///< each call on a new connection
    std::vector<std::string> expect; ///< SQLSTATEs that are an answer, not a failure
};

/// Sessions that hold something while others work.
struct HoldersActor {
    std::string name = "holders";
    std::string sql; ///< with ${n}
    long long sessions = 1;
    std::string isolation = "READ COMMITTED";
};

/// ${name} replaced by its value.
std::string with_values(std::string text, const std::map<std::string, std::string> &values);

struct Phase {
    std::string name;
    std::string description;
    bool clear = true; ///< clear_load_test_data() first; false: goes on with the jobs of the phase before
    bool drain = true; ///< ends when every job is finished; false: leaves them to the next phase
    std::vector<std::string> before; ///< SQL after clearing; ${schema} is the extension's
    std::vector<std::string> after;  ///< SQL at the end, before the figures are collected
    std::vector<SeedActor> seeds;
    std::vector<EnqueueActor> enqueues;
    std::vector<WorkerActor> workers;
    std::vector<ExternalWorkersActor> external;
    std::vector<CallsActor> calls;
    std::vector<HoldersActor> holders;
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

/// True when the plan needs pg_cron.
bool uses_cron(const Plan &plan);

/// The folders in which plans are looked for, by name, in order.
std::vector<std::string> plan_folders();

/// A path to a .toml file, or the name of a plan in one of the folders. Throws UsageError.
std::string find_plan(const std::string &name_or_path);

/// Paths of all plans in the folders, sorted, the first of a name wins.
std::vector<std::string> all_plans();

} // namespace fairq::driver::plan
