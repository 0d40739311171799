// queue_limits_hammer.hpp: many sessions that do all that workers and producers do to tenants with caps and
// to jobs with concurrency keys, while one thread changes the caps and another kills sessions.
#pragma once

#include <map>
#include <set>

#include "queue_checker.hpp"

namespace fairq::test {

struct HammerPlan {
    int sessions = 32;
    int tenants = 200;
    int first_jobs = 4000;
    double seconds = 10;
    std::uint64_t seed = 0;
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

/// Claims and completes by several sessions until there is no unfinished job; false when that takes too long.
/// The ids completed are added to `outcome`.
bool drain(const std::string &conninfo, HammerOutcome &outcome);

} // namespace fairq::test
