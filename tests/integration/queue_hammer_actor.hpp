// queue_hammer_actor.hpp: one of those who act in a storm, each on a thread of its own (queue_limits_hammer.hpp).
#pragma once

#include <chrono>
#include <random>
#include <thread>

#include "queue_limits_hammer.hpp"

namespace fairq::test {

/// Random numbers, and pauses.
class Actor {
public:
    using Clock = std::chrono::steady_clock;

    Actor(const HammerPlan &plan, std::uint64_t number, Clock::time_point end)
        : plan_(plan), random_(plan.seed + number), end_(end) {}
    virtual ~Actor() = default;

    /// Until the storm ends.
    virtual void run() = 0;

    HammerOutcome outcome;

protected:
    int up_to(int most) { return std::uniform_int_distribution<int>(1, most)(random_); }
    bool one_in(int most) { return up_to(most) == 1; }
    std::string some_tenant() { return hammered_tenant(up_to(plan_.tenants) - 1); }
    bool goes_on() const { return Clock::now() < end_; }
    void pause(int most_milliseconds) {
        std::this_thread::sleep_for(std::chrono::microseconds(up_to(most_milliseconds * 1000)));
    }

    const HammerPlan plan_;

private:
    std::mt19937_64 random_;
    const Clock::time_point end_;
};

} // namespace fairq::test
