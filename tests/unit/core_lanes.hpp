// A schedule together with the arrays of lanes that it needs, for the tests of core/schedule.
#pragma once

#include "core/schedule.hpp"

#include <cstddef>
#include <numeric>
#include <vector>

namespace fairq::test {

using Numbers = std::vector<int>;

class Lanes {
public:
    explicit Lanes(int lanes) : lanes_(static_cast<std::size_t>(lanes)) {}
    explicit Lanes(const Numbers &weights) : Lanes(static_cast<int>(weights.size())) {
        for (std::size_t lane = 0; lane < weights.size(); ++lane)
            schedule.enter(static_cast<int>(lane), weights[lane]);
    }
    Lanes(const Lanes &) = delete;
    Lanes &operator=(const Lanes &) = delete;

    const core::ScheduledLane &operator[](int lane) const { return lanes_[static_cast<std::size_t>(lane)]; }
    const std::vector<core::ScheduledLane> &all() const { return lanes_; }
    const core::ScheduleState &state() const { return state_; }

    // How often each lane is picked.
    Numbers picked(int picks) {
        Numbers served(lanes_.size());
        for (int i = 0; i < picks; ++i)
            ++served.at(static_cast<std::size_t>(schedule.pick()));
        return served;
    }

private:
    std::vector<core::ScheduledLane> lanes_; // all zero at first
    core::ScheduleState state_{};

public:
    core::Schedule schedule{lanes_.data(), state_};
};

inline int sum_of(const Numbers &numbers) {
    return std::accumulate(numbers.begin(), numbers.end(), 0);
}

} // namespace fairq::test
