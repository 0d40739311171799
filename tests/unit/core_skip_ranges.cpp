// core/gaps: what a lane's gaps say, against a model that knows of each single place.
#include "core/skip_ranges.hpp"

#include "core_seed.hpp"

#include <deque>
#include <set>

#include <gtest/gtest.h>

namespace fairq::test {
namespace {

using namespace core;

constexpr int kRounds = 2000, kSteps = 60, kPlaces = 64;

Gaps none() {
    return Gaps{};
}

TEST(LaneKey, has_the_order_of_priority_and_position) {
    EXPECT_LT(lane_key(-32768, 5), lane_key(-1, 1));
    EXPECT_LT(lane_key(-1, 7), lane_key(0, 1));
    EXPECT_LT(lane_key(0, 1), lane_key(0, 2));
    EXPECT_LT(lane_key(0, 1'000'000'000'000), lane_key(1, 1));
    EXPECT_LT(lane_key(1, 1), lane_key(32767, 1));
    EXPECT_EQ(kFirstKey, lane_key(-32768, 0));
    EXPECT_EQ(kLastKey, lane_key(32767, INT64_MAX));
}

TEST(LaneKey, gives_back_what_it_was_made_of) {
    for (int const priority : {-32768, -1, 0, 1, 32767})
        for (std::int64_t const position : {std::int64_t{1}, std::int64_t{77}, kMostPosition}) {
            LaneKey const key = lane_key(static_cast<std::int16_t>(priority), position);
            EXPECT_EQ(priority_of(key), priority);
            EXPECT_EQ(position_of(key), position);
        }
}

TEST(LaneKey, of_many_positions_is_not_got_past) {
    EXPECT_EQ(behind(lane_key(0, 7)), lane_key(0, 8));
    EXPECT_EQ(behind(lane_key(0, -7)), lane_key(0, -1));
    EXPECT_EQ(behind(lane_key(0, INT64_MAX)), lane_key(0, INT64_MAX));
}

TEST(Gaps, begin_without_any) {
    EXPECT_FALSE(none().any());
    EXPECT_EQ(none().skip(kFirstKey), kFirstKey);
    EXPECT_EQ(none().next(kFirstKey), kLastKey);
}

TEST(Gaps, that_meet_become_one) {
    Gaps gaps = none();
    gaps.add({10, 20});
    gaps.add({30, 40});
    EXPECT_EQ(gaps.skip(10), 20);
    EXPECT_EQ(gaps.skip(20), 20);
    gaps.add({20, 30});
    EXPECT_EQ(gaps.skip(10), 40);
    EXPECT_EQ(gaps.next(0), 10);
    EXPECT_EQ(gaps.next(15), 15);
    EXPECT_EQ(gaps.next(40), kLastKey);
}

// One urgent job in front of a million dead ones costs a look at that job, not at those behind it.
TEST(Gaps, keep_what_is_on_both_sides_of_a_hole) {
    Gaps gaps = none();
    gaps.add({kFirstKey, lane_key(0, 1'000'000)});
    gaps.punch(stretch_of(lane_key(-5, 1'000'001)));
    EXPECT_EQ(gaps.skip(kFirstKey), lane_key(-5, 1'000'001));
    EXPECT_EQ(gaps.skip(lane_key(-5, 1'000'002)), lane_key(0, 1'000'000));
}

TEST(Gaps, are_all_gone_after_a_hole_everywhere) {
    Gaps gaps = none();
    gaps.add({kFirstKey, kLastKey});
    gaps.punch(kEverywhere);
    EXPECT_FALSE(gaps.any());
}

TEST(Gaps, forget_the_shortest_when_there_are_too_many) {
    Gaps gaps = none();
    for (int i = 0; i <= Gaps::kMost; ++i)
        gaps.add({i * 100, i * 100 + (i == 3 ? 1 : 10)});
    EXPECT_EQ(gaps.skip(300), 300);
    EXPECT_EQ(gaps.skip(200), 210);
    EXPECT_EQ(gaps.skip(400), 410);
}

Stretch random_stretch(std::mt19937_64 &random) {
    int const from = number_in(random, 0, kPlaces - 1);
    return {from, number_in(random, from, kPlaces)};
}

// As long as there are no more gaps than places for them, nothing is forgotten; afterwards it is never too
// much.
TEST(GapsProperties, never_say_more_than_was_said_to_them) {
    std::mt19937_64 random = seeded_random();
    for (int round = 0; round < kRounds; ++round) {
        Gaps gaps = none();
        std::set<LaneKey> model;
        for (int step = 0; step < kSteps; ++step) {
            Stretch const stretch = random_stretch(random);
            bool const adds = number_in(random, 1, 2) == 1;
            adds ? gaps.add(stretch) : gaps.punch(stretch);
            for (LaneKey key = stretch.from; key < stretch.to; ++key)
                adds ? (void)model.insert(key) : (void)model.erase(key);
            for (LaneKey key = 0; key < kPlaces; ++key) {
                bool const gap = gaps.skip(key) != key;
                ASSERT_TRUE(!gap || model.count(key) > 0) << key;
                ASSERT_EQ(gaps.next(key) == key, gap) << key;
                ASSERT_EQ(gaps.skip(gaps.skip(key)), gaps.skip(key)) << key;
            }
        }
    }
}

TEST(GapsProperties, say_all_that_was_said_to_them_while_there_is_room) {
    std::mt19937_64 random = seeded_random();
    for (int round = 0; round < kRounds; ++round) {
        Gaps gaps = none();
        std::set<LaneKey> model;
        for (int step = 0; step < Gaps::kMost / 2; ++step) {
            Stretch const stretch = random_stretch(random);
            bool const adds = step == 0 || number_in(random, 1, 2) == 1;
            adds ? gaps.add(stretch) : gaps.punch(stretch);
            for (LaneKey key = stretch.from; key < stretch.to; ++key)
                adds ? (void)model.insert(key) : (void)model.erase(key);
            for (LaneKey key = 0; key < kPlaces; ++key)
                ASSERT_EQ(gaps.skip(key) != key, model.count(key) > 0) << key;
        }
    }
}

TEST(TouchedProperties, covers_every_place_that_was_touched) {
    std::mt19937_64 random = seeded_random();
    for (int round = 0; round < kRounds; ++round) {
        Touched touched;
        for (int step = 0; step < 12; ++step) {
            LaneKey const key = lane_key(static_cast<std::int16_t>(number_in(random, -3, 3)),
                                         number_in(random, 1, 1'000'000));
            touched.add(stretch_of(key));
            bool covered = false;
            for (Stretch const &stretch : touched)
                covered = covered || (stretch.from <= key && key < stretch.to);
            ASSERT_TRUE(covered) << key;
        }
        ASSERT_LE(touched.end() - touched.begin(), Touched::kMost);
    }
}

// A lane with one job in ten of the queue's, and claims that work in it at once, in any order.
class LaneWithClaims {
public:
    struct Claim {
        Gaps gaps;
        int ahead, jobs;
        std::vector<Stretch> passed;
    };

    Claim &draw(int jobs) {
        claims_.push_back({gaps_, drawn_, jobs, {}});
        drawn_ += jobs;
        return claims_.back();
    }

    // Returns how many jobs it looked at.
    int walk(Claim &claim) {
        LaneKey key = next_entry(claim.gaps, kFirstKey);
        Passed passed(kFirstKey, claim.passed);
        for (int left = 0; left < claim.ahead; ++left, key = next_entry(claim.gaps, key + 1)) {
            if (left == claim.ahead - 1)
                passed.leave_out({kFirstKey, key + 1});
        }
        int looked_at = 0;
        for (int found = 0; found < claim.jobs; key = next_entry(claim.gaps, key + 1), ++looked_at) {
            if (taken_.insert(key).second) {
                passed.over(key);
                ++found;
            } else {
                passed.leave_out(stretch_of(key));
            }
        }
        passed.end();
        return looked_at;
    }

    void settle(const Claim &claim) {
        drawn_ -= claim.jobs;
        for (Stretch const &stretch : claim.passed)
            gaps_.add(stretch);
    }

private:
    static LaneKey next_entry(const Gaps &gaps, LaneKey key) {
        for (;;) {
            LaneKey const skipped = gaps.skip(key);
            LaneKey const entry = skipped <= 3 ? 3 : skipped + (13 - skipped % 10) % 10;
            if (gaps.skip(entry) == entry)
                return entry;
            key = entry;
        }
    }

    Gaps gaps_{};
    int drawn_ = 0;
    std::set<LaneKey> taken_;
    std::deque<Claim> claims_;
};

// As many as are let in at once (ring_admission.cpp): none looks at a job that another has taken, however
// long some of them stand still meanwhile.
TEST(GapsProperties, keep_claims_at_once_apart) {
    std::mt19937_64 random = seeded_random();
    constexpr int kAtOnce = Gaps::kMost / 2;
    for (int round = 0; round < 50; ++round) {
        LaneWithClaims lane;
        LaneWithClaims::Claim *at_work[kAtOnce] = {};
        bool walked[kAtOnce] = {};
        for (int step = 0; step < 600; ++step) {
            int const i = number_in(random, 0, 9) == 0 ? 0 : number_in(random, 1, kAtOnce - 1);
            if (at_work[i] == nullptr) {
                at_work[i] = &lane.draw(number_in(random, 1, 9));
            } else if (!walked[i]) {
                ASSERT_EQ(lane.walk(*at_work[i]), at_work[i]->jobs);
                walked[i] = true;
            } else {
                lane.settle(*at_work[i]);
                at_work[i] = nullptr;
                walked[i] = false;
            }
        }
    }
}

// Otherwise many claims that come by the jobs of a slow one would make the lane forget where it is empty.
TEST(Passed, makes_no_stretch_between_two_jobs_that_others_have) {
    std::vector<Stretch> stretches;
    Passed passed(kFirstKey, stretches);
    passed.over(lane_key(0, 10));
    for (int const position : {20, 30, 40})
        passed.leave_out(stretch_of(lane_key(0, position)));
    passed.over(lane_key(0, 50));
    passed.end();
    ASSERT_EQ(stretches.size(), 2U);
    EXPECT_EQ(stretches[0].from, kFirstKey);
    EXPECT_EQ(stretches[0].to, lane_key(0, 20));
    EXPECT_EQ(stretches[1].from, lane_key(0, 41));
    EXPECT_EQ(stretches[1].to, lane_key(0, 51));
}

// It may have several entries, of which the walk passes some. In whichever order they come.
TEST(Passed, never_covers_a_job_that_others_have) {
    for (bool const first : {true, false}) {
        std::vector<Stretch> stretches;
        Passed passed(kFirstKey, stretches);
        passed.over(lane_key(0, 10));
        if (first)
            passed.over(lane_key(0, 20));
        passed.leave_out(stretch_of(lane_key(0, 20)));
        if (!first)
            passed.over(lane_key(0, 20));
        passed.leave_out(stretch_of(lane_key(0, 30)));
        ASSERT_EQ(stretches.size(), 1U);
        EXPECT_EQ(stretches[0].to, lane_key(0, 20));
    }
}

// A thousand pages of dead entries are worth a place, although the walk is not shown one of them.
TEST(Passed, makes_a_stretch_of_dead_entries) {
    std::vector<Stretch> stretches;
    Passed passed(kFirstKey, stretches);
    passed.leave_out(stretch_of(lane_key(0, 10)));
    passed.over_dead();
    passed.leave_out(stretch_of(lane_key(0, 900'000)));
    passed.end_at(kLastKey);
    ASSERT_EQ(stretches.size(), 2U);
    EXPECT_EQ(stretches[0].from, lane_key(0, 11));
    EXPECT_EQ(stretches[0].to, lane_key(0, 900'000));
    EXPECT_EQ(stretches[1].to, kLastKey);
}

TEST(Passed, ends_where_it_was_told_that_nothing_more_is) {
    std::vector<Stretch> stretches;
    Passed passed(kFirstKey, stretches);
    passed.end_at(kLastKey);
    ASSERT_EQ(stretches.size(), 1U);
    EXPECT_EQ(stretches[0].to, kLastKey);
}

TEST(Touched, keeps_places_apart_that_are_far_from_each_other) {
    Touched touched;
    touched.add(stretch_of(lane_key(0, 5)));
    touched.add(stretch_of(lane_key(0, 900'000)));
    touched.add(stretch_of(lane_key(-5, 900'001)));
    touched.add(stretch_of(lane_key(0, 8)));
    EXPECT_EQ(touched.end() - touched.begin(), 3);
}

} // namespace
} // namespace fairq::test
