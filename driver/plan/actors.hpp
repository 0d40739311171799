// actors.hpp: what acts in a phase, as plain data: what the engine's actors are made from.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "measure/metrics.hpp"
#include "plan/mix.hpp"
#include "plan/schedule.hpp"
#include "units.hpp"

namespace fairq::driver::plan {

/// Queues `jobs` jobs over `tenants` tenants with seed_load_test_jobs().
struct SeedActor {
    long long jobs = 0;
    long long tenants = 0;
};

/// What gates may name.
struct NamedActor {
    std::string name;
    measure::Tags tags;
};

/// Sends jobs at a fixed rate, whatever the queue does (open loop).
struct EnqueueActor : NamedActor {
    EnqueueActor() { name = "enqueue"; }
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
struct ExternalWorkersActor : NamedActor {
    ExternalWorkersActor() { name = "workers"; }
    long long workers = 1;
    long long batch = 50;
    long long tenant_cap = 25;
    std::optional<Milliseconds> work; ///< for each job; none: its payload's work_ms
    double fail = 0;                  ///< the share of attempts that fail
    bool process = false;             ///< each is a process of its own, not a thread
};

/// A statement, called as its users would.
struct CallsActor : NamedActor {
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
struct HoldersActor : NamedActor {
    HoldersActor() { name = "holders"; }
    std::string sql; ///< with ${n}
    long long sessions = 1;
    std::string isolation = "READ COMMITTED";
};

enum class FaultKind {
    cut_session,
    stop_fast,
    stop_immediate,
    kill_server,
    kill_worker,
    freeze_worker,
    crash_worker
};

/// cut-session, stop-fast, …
const std::vector<std::string> &fault_kind_names();

/// True for what ends the server; true for what strikes workers that are processes.
bool strikes_server(FaultKind kind);
bool strikes_worker(FaultKind kind);

/// What goes wrong, again and again.
struct FaultsActor : NamedActor {
    FaultsActor() { name = "faults"; }
    FaultKind kind = FaultKind::cut_session;
    std::string of;        ///< whose sessions are cut: worker, load, calls, tick or holder
    std::string at;        ///< where a worker crashes: see actors::crash_point_names()
    Milliseconds lasts{0}; ///< how long a worker is frozen
    bool disarmed = false; ///< for the self-test: goes through the motions, and does nothing
    Milliseconds first{0}, every{0};
    long long times = 1;
};

/// ${name} replaced by its value.
std::string with_values(std::string text, const std::map<std::string, std::string> &values);

} // namespace fairq::driver::plan
