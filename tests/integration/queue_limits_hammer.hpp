// queue_limits_hammer.hpp: many sessions that do all that workers and producers do to tenants with caps and
// to jobs with concurrency keys, while one thread changes the caps and another kills sessions.
#pragma once

#include <map>
#include <set>

#include "queue_checker.hpp"

namespace fairq::test {

/// What the storm may have besides (queue_troubles.hpp). Each can be switched on by itself.
struct Troubles {
    bool pauses = false;       ///< tenants and job types are paused and resumed, tenants get rates
    bool new_sessions = false; ///< each claim in a session of its own
    bool dead_workers = false; ///< no session calls reclaim_stuck_jobs: their leases come back by claims
    bool poison = false;       ///< an index of the user's refuses to put some jobs back into their lanes
    bool clock_steps = false;  ///< the server's clock jumps; it has to run on a SteppedClock
    bool publications = false; ///< FOR ALL TABLES; some tenants have a max_pending, dead jobs are redriven
    bool partitions = false;   ///< of the history are dropped and made
};

struct HammerPlan {
    int sessions = 32;
    int tenants = 200;
    int first_jobs = 4000;
    double seconds = 10;
    std::uint64_t seed = 0;
    Troubles troubles = {};
    std::string clock = {};                ///< the file of the SteppedClock
    driver::Milliseconds patience{60'000}; ///< of a drain
};

/// What the sessions were told, and what they met.
struct HammerOutcome {
    std::vector<std::int64_t> enqueued, completed, cancelled;
    std::map<std::string, int> met; ///< how often: a killed session, a lost lease
    std::set<std::string> errors;   ///< all other errors
    int cap_changes = 0;
};

/// The name of the tenant with this number, from 0.
std::string hammered_tenant(int number);

/// Sets a tenant's cap, takes it away (none), and notes in the history that it is in force.
void set_cap(driver::Database &database, const std::string &tenant, std::optional<int> cap);

/// Caps for all tenants, first jobs, then the storm. Sessions leave their jobs locked.
HammerOutcome hammer_limits(const std::string &conninfo, const HammerPlan &plan);

/// Claims and completes by several sessions until no unfinished job is left of those that fulfil the condition on
/// job_live; false when that takes too long. The ids completed are added to `outcome`.
bool drain(const std::string &conninfo, HammerOutcome &outcome, const HammerPlan &plan,
           const std::string &condition = "true");

} // namespace fairq::test
