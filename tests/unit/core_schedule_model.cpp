// core/schedule against a model without heaps and without a running clock: at each step the model looks at
// every lane and computes virtual time anew from all of them.
#include "core_lanes.hpp"
#include "core_seed.hpp"

#include <algorithm>
#include <cmath>

#include <gtest/gtest.h>

namespace fairq::test {
namespace {

constexpr long double kTolerance = 1e-7L;

struct ModelLane {
    long double start = 0;
    int weight = 0;
    bool inside = false;  // can be picked, now or later
    bool counted = false; // is part of the mean
    bool held = false;
    long double behind = 0; // for a held lane that does not count: its start relative to the clock
    int passed_over = 0;
};

class Model {
public:
    explicit Model(int lanes) : lanes_(static_cast<std::size_t>(lanes)) {}

    bool contains(int lane) const { return at(lane).inside || at(lane).held; }
    long double clock() const { return clock_; }

    void enter(int lane, int weight) {
        ModelLane &entering = at(lane);
        if (!contains(lane)) {
            entering.inside = true;
            if (!entering.counted) {
                entering.weight = weight;
                entering.start = std::max(entering.start, clock_);
                entering.counted = due(entering);
            }
        }
        set_weight(lane, weight);
        look_at_clock();
    }

    // A lane that is ahead of its share stays in the mean for now: see settle().
    void leave(int lane) {
        ModelLane &leaving = at(lane);
        if (leaving.held && !leaving.counted)
            leaving.start = clock_ + leaving.behind;
        if (leaving.inside && leaving.counted && due(leaving))
            leaving.counted = false;
        leaving.inside = leaving.held = false;
        look_at_clock();
    }

    void hold(int lane) {
        ModelLane &stopped = at(lane);
        if (!stopped.inside)
            return;
        stopped.inside = false;
        stopped.held = true;
        if (stopped.counted && due(stopped))
            stopped.counted = false;
        look_at_clock();
        stopped.behind = stopped.start - clock_;
    }

    void set_aside(int lane) {
        hold(lane);
        ModelLane &stopped = at(lane);
        if (stopped.held && !stopped.counted)
            stopped.behind = std::max(stopped.behind, 0.0L);
    }

    void resume(int lane) {
        ModelLane &resumed = at(lane);
        if (!resumed.held)
            return;
        resumed.held = false;
        resumed.inside = true;
        if (!resumed.counted) {
            resumed.start = clock_ + resumed.behind;
            resumed.counted = due(resumed);
        }
        look_at_clock();
    }

    void set_weight(int lane, int weight) {
        ModelLane &changed = at(lane);
        changed.start = clock_ + (changed.start - clock_) * changed.weight / weight;
        changed.behind *= 1.0L * changed.weight / weight;
        changed.weight = weight;
        look_at_clock();
    }

    void give_back(int lane, int jobs) {
        at(lane).start -= 1.0L * jobs / at(lane).weight;
        at(lane).behind -= 1.0L * jobs / at(lane).weight;
        look_at_clock();
    }

    void pass_over(int lane) {
        ModelLane &passed = at(lane);
        if (passed.held && !passed.counted)
            passed.start = clock_ + passed.behind;
        passed.inside = true;
        passed.held = passed.counted = false;
        look_at_clock();
        long double const step = std::min(1.0L, std::pow(2.0L, passed.passed_over++) / passed.weight);
        passed.start = std::max(passed.start, clock_) + step;
    }

    void served(int lane) { at(lane).passed_over = 0; }

    // Checks that the schedule was right to pick this lane, then charges the lane.
    void expect_pick(int picked, const std::vector<core::ScheduledLane> &before) {
        settle(before);
        if (picked < 0) {
            for (auto const &lane : lanes_)
                ASSERT_FALSE(lane.inside);
            return;
        }
        ASSERT_TRUE(at(picked).inside && due(at(picked)));
        for (auto const &lane : lanes_)
            if (lane.inside && due(lane)) {
                ASSERT_GE(deadline(lane), deadline(at(picked)) - kTolerance);
            }
        at(picked).start += 1.0L / at(picked).weight;
        look_at_clock();
    }

private:
    ModelLane &at(int lane) { return lanes_[static_cast<std::size_t>(lane)]; }
    const ModelLane &at(int lane) const { return lanes_[static_cast<std::size_t>(lane)]; }
    static long double deadline(const ModelLane &lane) { return lane.start + 1.0L / lane.weight; }
    bool due(const ModelLane &lane) const { return lane.start <= clock_ + kTolerance / 100; }

    void look_at_clock() {
        long double sum = 0, weight = 0;
        for (auto const &lane : lanes_)
            if (lane.counted) {
                sum += lane.weight * lane.start;
                weight += lane.weight;
            }
        if (weight > 0)
            clock_ = sum / weight;
    }

    // Between equal starts, rounding and sequence numbers of the schedule decide.
    bool earlier(std::size_t a, std::size_t b, const std::vector<core::ScheduledLane> &before) const {
        if (std::fabs(lanes_[a].start - lanes_[b].start) > kTolerance / 100)
            return lanes_[a].start < lanes_[b].start;
        return before[a].start < before[b].start ||
               (before[a].start == before[b].start && before[a].sequence < before[b].sequence);
    }

    // In the order of their starts: a lane that has left or is held stops counting once it is due, any other
    // lane begins to. If no lane counts, time goes on to the first one that will.
    void settle(const std::vector<core::ScheduledLane> &before) {
        for (;;) {
            std::size_t next = lanes_.size();
            bool counted = false;
            for (std::size_t lane = 0; lane < lanes_.size(); ++lane) {
                counted = counted || lanes_[lane].counted;
                if (lanes_[lane].counted != lanes_[lane].inside &&
                    (next == lanes_.size() || earlier(lane, next, before)))
                    next = lane;
            }
            if (next == lanes_.size())
                return;
            ModelLane &changing = lanes_[next];
            if (!counted)
                clock_ = std::max(clock_, changing.start);
            if (!due(changing))
                return;
            changing.counted = changing.inside;
            look_at_clock();
            if (changing.held)
                changing.behind = changing.start - clock_;
        }
    }

    std::vector<ModelLane> lanes_;
    long double clock_ = 0;
};

// Does one random step, in the schedule and in the model.
void step(Lanes &lanes, Model &model, int lane, std::mt19937_64 &random) {
    int const weight = number_in(random, 0, 3) == 0 ? number_in(random, 1, 1000) : number_in(random, 1, 8);
    switch (number_in(random, 0, 14)) {
    case 0:
        lanes.schedule.enter(lane, weight);
        return model.enter(lane, weight);
    case 1:
        lanes.schedule.leave(lane);
        return model.leave(lane);
    case 2:
        lanes.schedule.hold(lane);
        return model.hold(lane);
    case 3:
    case 4:
        lanes.schedule.resume(lane);
        return model.resume(lane);
    case 5:
        if (!model.contains(lane))
            return;
        lanes.schedule.set_weight(lane, weight);
        return model.set_weight(lane, weight);
    case 6:
        lanes.schedule.pass_over(lane);
        return model.contains(lane) ? model.pass_over(lane) : void();
    case 7:
        lanes.schedule.served(lane);
        return model.served(lane);
    case 8:
        lanes.schedule.set_aside(lane);
        return model.set_aside(lane);
    default:
        auto const before = lanes.all(); // a copy
        int const picked = lanes.schedule.pick();
        model.expect_pick(picked, before);
        if (picked >= 0 && number_in(random, 0, 5) == 0) {
            lanes.schedule.give_back(picked, 1);
            model.give_back(picked, 1);
        }
    }
}

TEST(ScheduleModel, makes_the_same_picks) {
    std::mt19937_64 random = seeded_random();
    for (int i = 0; i < 2000 && !testing::Test::HasFatalFailure(); ++i) {
        int const count = number_in(random, 1, 12);
        Lanes lanes(count);
        Model model(count);
        for (int lane = 0; lane < count; ++lane) {
            lanes.schedule.enter(lane, 1 + lane);
            model.enter(lane, 1 + lane);
        }
        for (int steps = 0; steps < 300 && !testing::Test::HasFatalFailure(); ++steps) {
            step(lanes, model, number_in(random, 0, count - 1), random);
            ASSERT_NEAR(lanes.schedule.now(), static_cast<double>(model.clock()), 1e-6) << "step " << steps;
            int inside = 0;
            for (int lane = 0; lane < count; ++lane) {
                ASSERT_EQ(lanes.schedule.contains(lane), model.contains(lane)) << "lane " << lane;
                inside += model.contains(lane) ? 1 : 0;
            }
            ASSERT_EQ(lanes.schedule.lanes(), inside);
        }
    }
}

} // namespace
} // namespace fairq::test
