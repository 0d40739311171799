// queue_troubles.hpp: what a queue meets in its life beside its workers: tenants and types that are paused, jobs that an
// index of the user's refuses, publications, partitions that come and go, a clock that jumps. For queue_limits_hammer.hpp.
#pragma once

#include <memory>
#include <optional>

#include "queue_hammer_actor.hpp"

namespace fairq::test {

constexpr int kTypes = 3;
constexpr int kJobsForEachPoison = 50;
constexpr const char *kPoison = R"({"poison": true})";
constexpr const char *kRefused = "22012"; ///< SQLSTATE of the error that refuses a poison job

/// The job type with this number, from 0.
std::string hammered_type(int number);

/// Before the storm: what the troubles need in the database.
void prepare_troubles(driver::Database &database, const HammerPlan &plan);

/// Those who act in the storm.
std::vector<std::shared_ptr<Actor>> trouble_makers(const std::string &conninfo, const HammerPlan &plan,
                                                   Actor::Clock::time_point end);

/// After the storm: what stays is known. Half of the tenants and one type are paused, the clock is an hour behind its
/// latest time, poison jobs stay refused.
void settle_troubles(driver::Database &database, const HammerPlan &plan);

/// Of the jobs in job_live: those that can all be done now.
std::string can_be_done(const Troubles &troubles);

/// Ends all troubles, so that every job can be done.
void end_troubles(driver::Database &database, const HammerPlan &plan);

/// A clock for a server, which a test sets: by libfaketime, which is loaded into the server's processes.
class SteppedClock {
public:
    /// Whether libfaketime is installed.
    static bool available();

    /// What the clock is ahead of the machine's, in seconds, is in this file.
    std::string file() const { return folder_.path() + "/clock"; }
    static void set(const std::string &file, int seconds_ahead);

    /// Calls what makes a cluster, so that its server has this clock.
    template <class Make>
    auto with(Make &&make) const {
        set_environment(true);
        auto made = make();
        set_environment(false);
        return made;
    }

private:
    void set_environment(bool on) const;

    TemporaryFolder folder_;
};

} // namespace fairq::test
