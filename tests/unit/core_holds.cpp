// core/holds: which lanes are held, and what ends it. First its behaviour; then random claims and events, after which no
// lane that can run may be held, and the same with the rule broken, which has to be seen.
#include "core/holds.hpp"

#include "core_lanes.hpp"
#include "core_seed.hpp"

#include <algorithm>
#include <array>

#include <gtest/gtest.h>

namespace fairq::test {
namespace {

using core::HoldReason;
using core::kUntilEvent;

class HeldLanes : public Lanes {
public:
    explicit HeldLanes(int lanes) : Lanes(Numbers(static_cast<std::size_t>(lanes), 1)), held_(all().size()) {}

    std::uint64_t events() const { return state_.events; }
    int held() const { return state_.lanes; }

private:
    std::vector<core::HeldLane> held_; // all zero at first
    core::HoldState state_{};

public:
    core::Holds holds{held_.data(), state_, schedule};
};

TEST(Holds, keep_a_lane_from_being_picked) {
    HeldLanes lanes(3);
    EXPECT_TRUE(lanes.holds.hold(1, HoldReason::limits, kUntilEvent, lanes.events()));
    EXPECT_TRUE(lanes.holds.is_held(1));
    EXPECT_EQ(lanes.held(), 1);
    EXPECT_EQ(lanes.schedule.lanes(), 3);
    EXPECT_EQ(lanes.picked(10), (Numbers{5, 0, 5}));
    EXPECT_TRUE(lanes.holds.happened(1, HoldReason::limits));
    EXPECT_EQ(lanes.held(), 0);
    EXPECT_EQ(lanes.picked(9), (Numbers{3, 3, 3}));
}

TEST(Holds, of_all_lanes_leave_none_to_pick) {
    HeldLanes lanes(2);
    for (int const lane : {0, 1})
        lanes.holds.hold(lane, HoldReason::limits, kUntilEvent, 0);
    EXPECT_EQ(lanes.schedule.pick(), -1);
}

TEST(Holds, end_by_events_of_their_reason_only) {
    HeldLanes lanes(2);
    lanes.holds.hold(0, HoldReason::limits, kUntilEvent, 0);
    lanes.holds.hold(1, HoldReason::jobs, kUntilEvent, 0);
    EXPECT_FALSE(lanes.holds.happened(0, HoldReason::jobs));
    EXPECT_FALSE(lanes.holds.happened(1, HoldReason::limits));
    EXPECT_TRUE(lanes.holds.happened(0, HoldReason::limits));
    EXPECT_TRUE(lanes.holds.happened(1, HoldReason::jobs));
}

TEST(Holds, do_not_count_when_the_claim_has_not_seen_an_event) {
    HeldLanes lanes(2);
    std::uint64_t const seen = lanes.events();
    lanes.holds.happened(0, HoldReason::limits);
    EXPECT_FALSE(lanes.holds.hold(0, HoldReason::limits, kUntilEvent, seen));
    EXPECT_TRUE(lanes.holds.hold(1, HoldReason::limits, kUntilEvent, seen)) << "it was another lane's";
    EXPECT_TRUE(lanes.holds.hold(0, HoldReason::jobs, kUntilEvent, seen)) << "it was for another reason";
    lanes.holds.end(0);
    EXPECT_TRUE(lanes.holds.hold(0, HoldReason::limits, kUntilEvent, lanes.events()));
}

TEST(Holds, do_not_count_when_the_claim_has_not_seen_an_event_of_all_lanes) {
    HeldLanes lanes(2);
    std::uint64_t const seen = lanes.events();
    lanes.holds.happened_to_all(HoldReason::jobs);
    EXPECT_FALSE(lanes.holds.hold(0, HoldReason::jobs, kUntilEvent, seen));
    EXPECT_TRUE(lanes.holds.hold(1, HoldReason::limits, kUntilEvent, seen));
}

TEST(Holds, that_are_older_than_an_event_of_all_lanes_end) {
    HeldLanes lanes(3);
    lanes.holds.hold(0, HoldReason::limits, kUntilEvent, lanes.events());
    lanes.holds.hold(1, HoldReason::jobs, kUntilEvent, lanes.events());
    lanes.holds.happened_to_all(HoldReason::limits);
    lanes.holds.hold(2, HoldReason::limits, kUntilEvent, lanes.events());
    EXPECT_TRUE(lanes.holds.end_if_older(0));
    EXPECT_FALSE(lanes.holds.end_if_older(1));
    EXPECT_FALSE(lanes.holds.end_if_older(2));
    EXPECT_EQ(lanes.held(), 2);
}

TEST(Holds, end_at_their_time_the_earliest_first) {
    HeldLanes lanes(4);
    std::array<std::int64_t, 4> const until{300, 100, kUntilEvent, 200};
    for (int lane = 0; lane < 4; ++lane)
        lanes.holds.hold(lane, HoldReason::limits, until.at(static_cast<std::size_t>(lane)), 0);
    EXPECT_EQ(lanes.holds.next_time(), 100);
    EXPECT_EQ(lanes.holds.end_due(99), -1);
    EXPECT_EQ(lanes.holds.end_due(200), 1);
    EXPECT_EQ(lanes.holds.end_due(200), 3);
    EXPECT_EQ(lanes.holds.end_due(200), -1);
    lanes.holds.happened(0, HoldReason::limits);
    EXPECT_EQ(lanes.holds.next_time(), kUntilEvent);
    EXPECT_TRUE(lanes.holds.is_held(2));
}

TEST(Holds, end_when_the_clock_goes_back) {
    HeldLanes lanes(1);
    EXPECT_FALSE(lanes.holds.clock_went_back(10'000'000));
    lanes.holds.hold(0, HoldReason::limits, 20'000'000, lanes.events());
    EXPECT_FALSE(lanes.holds.clock_went_back(10'000'000 - core::kClockTolerance))
        << "sessions are never quite even";
    EXPECT_FALSE(lanes.holds.end_if_older(0));
    EXPECT_TRUE(lanes.holds.clock_went_back(5'000'000));
    EXPECT_TRUE(lanes.holds.end_if_older(0));
    EXPECT_FALSE(lanes.holds.clock_went_back(5'000'001)) << "once is enough";
}

TEST(Holds, stay_as_they_are_when_another_claim_holds_the_lane_too) {
    HeldLanes lanes(1);
    EXPECT_TRUE(lanes.holds.hold(0, HoldReason::limits, 100, 0));
    EXPECT_TRUE(lanes.holds.hold(0, HoldReason::jobs, kUntilEvent, 0));
    EXPECT_EQ(lanes.holds.end_due(100), 0);
}

TEST(Holds, are_of_lanes_in_the_schedule) {
    HeldLanes lanes(1);
    lanes.schedule.leave(0);
    EXPECT_FALSE(lanes.holds.hold(0, HoldReason::limits, kUntilEvent, 0));
    EXPECT_FALSE(lanes.holds.end(0));
}

// ------------------------------------------------------------------------------------------ random

constexpr int kLanes = 4;

// What the tables say of a lane.
struct Tenant {
    bool blocked[core::kHoldReasons] = {};
    std::int64_t until = 0; // its rate lets nothing through before
};

struct Claim {
    std::uint64_t seen;
    std::int64_t now;
    std::array<Tenant, kLanes> snapshot;
};

// An event whose change is committed, and which is still to be told. lane: -1 for all.
struct Event {
    int lane;
    HoldReason reason;
};

class World {
public:
    World(std::mt19937_64 &random, bool broken) : random_(random), broken_(broken) {}

    void step() {
        switch (number_in(random_, 0, 6)) {
        case 0:
            return change();
        case 1:
            return tell();
        case 2:
        case 3:
            claims_.push_back({lanes_.events(), now_, tenants_});
            return;
        case 4:
        case 5:
            return settle();
        default:
            now_ += number_in(random_, 0, 5);
            while (lanes_.holds.end_due(now_) >= 0) {
            }
        }
    }

    void come_to_rest() {
        while (!claims_.empty())
            settle();
        while (!events_.empty())
            tell();
        while (lanes_.holds.end_due(now_) >= 0) {
        }
    }

    // A lane that is held although its tenant's limits and the types of its jobs let it run.
    bool hides_a_lane() const {
        for (int lane = 0; lane < kLanes; ++lane)
            if (lanes_.holds.is_held(lane) && !tenant(lane).blocked[0] && !tenant(lane).blocked[1] &&
                tenant(lane).until <= now_)
                return true;
        return false;
    }

private:
    Tenant &tenant(int lane) { return tenants_.at(static_cast<std::size_t>(lane)); }
    const Tenant &tenant(int lane) const { return tenants_.at(static_cast<std::size_t>(lane)); }

    // A commit. What blocks a lane is no event, but a lane without tokens is blocked by its own claim only.
    void change() {
        int const lane = number_in(random_, 0, kLanes - 1);
        int const reason = number_in(random_, 0, 1);
        if (number_in(random_, 0, 3) == 0) {
            tenant(lane).until = std::max(tenant(lane).until, now_ + number_in(random_, 1, 20));
            return;
        }
        bool &blocked = tenant(lane).blocked[reason];
        blocked = !blocked;
        if (!blocked)
            events_.push_back({number_in(random_, 0, 3) == 0 ? -1 : lane, static_cast<HoldReason>(reason)});
    }

    void tell() {
        if (events_.empty())
            return;
        Event const event = take(events_);
        if (event.lane >= 0) {
            lanes_.holds.happened(event.lane, event.reason);
            return;
        }
        lanes_.holds.happened_to_all(event.reason);
        for (int lane = 0; lane < kLanes; ++lane)
            lanes_.holds.end_if_older(lane);
    }

    void settle() {
        if (claims_.empty())
            return;
        Claim const claim = take(claims_);
        std::uint64_t const seen = broken_ ? lanes_.events() : claim.seen;
        for (int lane = 0; lane < kLanes; ++lane) {
            Tenant const &saw = claim.snapshot.at(static_cast<std::size_t>(lane));
            if (saw.blocked[0])
                lanes_.holds.hold(lane, HoldReason::limits, kUntilEvent, seen);
            else if (saw.until > claim.now)
                lanes_.holds.hold(lane, HoldReason::limits, saw.until, seen);
            else if (saw.blocked[1])
                lanes_.holds.hold(lane, HoldReason::jobs, kUntilEvent, seen);
        }
    }

    template <class T>
    T take(std::vector<T> &from) {
        auto const which = from.begin() + number_in(random_, 0, static_cast<int>(from.size()) - 1);
        T const taken = *which;
        from.erase(which);
        return taken;
    }

    std::mt19937_64 &random_;
    bool const broken_;
    HeldLanes lanes_{kLanes};
    std::array<Tenant, kLanes> tenants_{};
    std::vector<Claim> claims_;
    std::vector<Event> events_;
    std::int64_t now_ = 1;
};

int worlds_that_hide_a_lane(bool broken) {
    std::mt19937_64 random = seeded_random();
    int hiding = 0;
    for (int i = 0; i < 5000; ++i) {
        World world(random, broken);
        for (int steps = number_in(random, 1, 60); steps > 0; --steps)
            world.step();
        world.come_to_rest();
        hiding += world.hides_a_lane() ? 1 : 0;
    }
    return hiding;
}

TEST(HoldsAtRandom, never_hide_a_lane_that_can_run) {
    EXPECT_EQ(worlds_that_hide_a_lane(false), 0);
}

TEST(HoldsAtRandom, hide_lanes_if_claims_hold_them_whatever_they_have_not_seen) {
    EXPECT_GT(worlds_that_hide_a_lane(true), 0);
}

} // namespace
} // namespace fairq::test
