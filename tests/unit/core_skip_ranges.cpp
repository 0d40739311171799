// core/skip_ranges: skip ranges of a lane against a model that remembers each single key.
#include "core/skip_ranges.hpp"

#include "core_seed.hpp"

#include <deque>
#include <set>

#include <gtest/gtest.h>

namespace fairq::test {
namespace {

using namespace core;

constexpr int kRounds = 2000, kSteps = 60, kKeys = 64;

SkipRanges none() {
    return SkipRanges{};
}

TEST(LaneKey, has_the_order_of_priority_and_position) {
    EXPECT_LT(lane_key(-32768, 5), lane_key(-1, 1));
    EXPECT_LT(lane_key(-1, 7), lane_key(0, 1));
    EXPECT_LT(lane_key(0, 1), lane_key(0, 2));
    EXPECT_LT(lane_key(0, 1'000'000'000'000), lane_key(1, 1));
    EXPECT_LT(lane_key(1, 1), lane_key(32767, 1));
    EXPECT_EQ(kFirstKey, lane_key(-32768, 0));
    EXPECT_GT(kLastKey, lane_key(32767, INT64_MAX));
}

// A lane of which a walk has seen the end, and then a job comes there.
TEST(LaneKey, of_the_very_last_position_can_be_invalidated) {
    LaneKey const last = lane_key(32767, INT64_MAX);
    SkipRanges skip_ranges = none();
    skip_ranges.add({kFirstKey, kLastKey});
    skip_ranges.invalidate(range_of(last));
    EXPECT_EQ(skip_ranges.skip(kFirstKey), last);
}

TEST(LaneKey, gives_back_its_priority_and_position) {
    for (int const priority : {-32768, -1, 0, 1, 32767})
        for (std::int64_t const position : {std::int64_t{1}, std::int64_t{77}, kMostPosition - 1}) {
            LaneKey const key = lane_key(static_cast<std::int16_t>(priority), position);
            EXPECT_EQ(priority_of(key), priority);
            EXPECT_EQ(position_of(key), position);
        }
}

TEST(LaneKey, of_many_positions_is_not_passed) {
    EXPECT_EQ(key_after(lane_key(0, 7)), lane_key(0, 8));
    EXPECT_EQ(key_after(lane_key(0, -7)), lane_key(0, -1));
    EXPECT_EQ(key_after(lane_key(0, INT64_MAX)), lane_key(0, INT64_MAX));
}

// Where a walk goes on behind a range that covers all of them, it must not meet them again.
TEST(LaneKey, behind_the_last_position_is_the_next_priority) {
    for (int const priority : {-32768, -1, 0, 32766})
        EXPECT_EQ(priority_of(lane_key(static_cast<std::int16_t>(priority), INT64_MAX) + 1), priority + 1);
}

TEST(SkipRanges, are_none_at_first) {
    EXPECT_FALSE(none().any());
    EXPECT_EQ(none().skip(kFirstKey), kFirstKey);
    EXPECT_EQ(none().next(kFirstKey), kLastKey);
}

TEST(SkipRanges, that_meet_become_one) {
    SkipRanges skip_ranges = none();
    skip_ranges.add({10, 20});
    skip_ranges.add({30, 40});
    EXPECT_EQ(skip_ranges.skip(10), 20);
    EXPECT_EQ(skip_ranges.skip(20), 20);
    skip_ranges.add({20, 30});
    EXPECT_EQ(skip_ranges.skip(10), 40);
    EXPECT_EQ(skip_ranges.next(0), 10);
    EXPECT_EQ(skip_ranges.next(15), 15);
    EXPECT_EQ(skip_ranges.next(40), kLastKey);
}

// An urgent job in front of a million dead entries costs a claim a look at that job, not at the entries
// behind it.
TEST(SkipRanges, stay_on_both_sides_of_an_invalidated_range) {
    SkipRanges skip_ranges = none();
    skip_ranges.add({kFirstKey, lane_key(0, 1'000'000)});
    skip_ranges.invalidate(range_of(lane_key(-5, 1'000'001)));
    EXPECT_EQ(skip_ranges.skip(kFirstKey), lane_key(-5, 1'000'001));
    EXPECT_EQ(skip_ranges.skip(lane_key(-5, 1'000'002)), lane_key(0, 1'000'000));
}

TEST(SkipRanges, are_all_gone_when_everything_is_invalidated) {
    SkipRanges skip_ranges = none();
    skip_ranges.add({kFirstKey, kLastKey});
    skip_ranges.invalidate(kEverywhere);
    EXPECT_FALSE(skip_ranges.any());
}

TEST(SkipRanges, forget_the_shortest_when_there_are_too_many) {
    SkipRanges skip_ranges = none();
    for (int i = 0; i <= SkipRanges::kMost; ++i)
        skip_ranges.add({i * 100, i * 100 + (i == 3 ? 1 : 10)});
    EXPECT_EQ(skip_ranges.skip(300), 300);
    EXPECT_EQ(skip_ranges.skip(200), 210);
    EXPECT_EQ(skip_ranges.skip(400), 410);
}

KeyRange random_range(std::mt19937_64 &random) {
    int const from = number_in(random, 0, kKeys - 1);
    return {from, number_in(random, from, kKeys)};
}

// With more ranges than there is room for, some are forgotten.
TEST(SkipRangesProperties, never_cover_more_than_was_added) {
    std::mt19937_64 random = seeded_random();
    for (int round = 0; round < kRounds; ++round) {
        SkipRanges skip_ranges = none();
        std::set<LaneKey> model;
        for (int step = 0; step < kSteps; ++step) {
            KeyRange const range = random_range(random);
            bool const adds = number_in(random, 1, 2) == 1;
            adds ? skip_ranges.add(range) : skip_ranges.invalidate(range);
            for (LaneKey key = range.from; key < range.to; ++key)
                adds ? (void)model.insert(key) : (void)model.erase(key);
            for (LaneKey key = 0; key < kKeys; ++key) {
                bool const skip_range = skip_ranges.skip(key) != key;
                ASSERT_TRUE(!skip_range || model.count(key) > 0) << key;
                ASSERT_EQ(skip_ranges.next(key) == key, skip_range) << key;
                ASSERT_EQ(skip_ranges.skip(skip_ranges.skip(key)), skip_ranges.skip(key)) << key;
            }
        }
    }
}

TEST(SkipRangesProperties, cover_all_that_was_added_while_there_is_room) {
    std::mt19937_64 random = seeded_random();
    for (int round = 0; round < kRounds; ++round) {
        SkipRanges skip_ranges = none();
        std::set<LaneKey> model;
        for (int step = 0; step < SkipRanges::kMost / 2; ++step) {
            KeyRange const range = random_range(random);
            bool const adds = step == 0 || number_in(random, 1, 2) == 1;
            adds ? skip_ranges.add(range) : skip_ranges.invalidate(range);
            for (LaneKey key = range.from; key < range.to; ++key)
                adds ? (void)model.insert(key) : (void)model.erase(key);
            for (LaneKey key = 0; key < kKeys; ++key)
                ASSERT_EQ(skip_ranges.skip(key) != key, model.count(key) > 0) << key;
        }
    }
}

TEST(DirtyRangesProperties, cover_every_key_that_was_added) {
    std::mt19937_64 random = seeded_random();
    for (int round = 0; round < kRounds; ++round) {
        DirtyRanges dirty;
        for (int step = 0; step < 12; ++step) {
            LaneKey const key = lane_key(static_cast<std::int16_t>(number_in(random, -3, 3)),
                                         number_in(random, 1, 1'000'000));
            dirty.add(range_of(key));
            bool covered = false;
            for (KeyRange const &range : dirty)
                covered = covered || (range.from <= key && key < range.to);
            ASSERT_TRUE(covered) << key;
        }
        ASSERT_LE(dirty.end() - dirty.begin(), DirtyRanges::kMost);
    }
}

// A lane that has every tenth job of its queue, and claims that work in it at the same time, in any order.
class LaneWithClaims {
public:
    struct Claim {
        SkipRanges skip_ranges;
        int ahead, jobs;
        std::vector<KeyRange> scanned;
    };

    Claim &draw(int jobs) {
        claims_.push_back({skip_ranges_, drawn_, jobs, {}});
        drawn_ += jobs;
        return claims_.back();
    }

    // Returns how many jobs the claim looked at.
    int walk(Claim &claim) {
        LaneKey key = next_entry(claim.skip_ranges, kFirstKey);
        ScannedRanges scanned(kFirstKey, claim.scanned);
        for (int left = 0; left < claim.ahead; ++left, key = next_entry(claim.skip_ranges, key + 1)) {
            if (left == claim.ahead - 1)
                scanned.leave_out({kFirstKey, key + 1});
        }
        int looked_at = 0;
        for (int found = 0; found < claim.jobs; key = next_entry(claim.skip_ranges, key + 1), ++looked_at) {
            if (taken_.insert(key).second) {
                scanned.over(key);
                ++found;
            } else {
                scanned.leave_out(range_of(key));
            }
        }
        scanned.end();
        return looked_at;
    }

    void settle(const Claim &claim) {
        drawn_ -= claim.jobs;
        for (KeyRange const &range : claim.scanned)
            skip_ranges_.add(range);
    }

private:
    static LaneKey next_entry(const SkipRanges &skip_ranges, LaneKey key) {
        for (;;) {
            LaneKey const skipped = skip_ranges.skip(key);
            LaneKey const entry = skipped <= 3 ? 3 : skipped + (13 - skipped % 10) % 10;
            if (skip_ranges.skip(entry) == entry)
                return entry;
            key = entry;
        }
    }

    SkipRanges skip_ranges_{};
    int drawn_ = 0;
    std::set<LaneKey> taken_;
    std::deque<Claim> claims_;
};

// As many claims as there are claim slots (shared/ring/claim_slots.cpp): none looks at a job that another has
// taken, however long some of the claims stand still meanwhile.
TEST(SkipRangesProperties, keep_concurrent_claims_apart) {
    std::mt19937_64 random = seeded_random();
    constexpr int kAtOnce = SkipRanges::kMost / 2;
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

// Otherwise many claims that pass the jobs of a slow claim would make the lane forget where it is empty.
TEST(ScannedRanges, have_none_between_two_jobs_of_other_claims) {
    std::vector<KeyRange> ranges;
    ScannedRanges scanned(kFirstKey, ranges);
    scanned.over(lane_key(0, 10));
    for (int const position : {20, 30, 40})
        scanned.leave_out(range_of(lane_key(0, position)));
    scanned.over(lane_key(0, 50));
    scanned.end();
    ASSERT_EQ(ranges.size(), 2U);
    EXPECT_EQ(ranges[0].from, kFirstKey);
    EXPECT_EQ(ranges[0].to, lane_key(0, 20));
    EXPECT_EQ(ranges[1].from, lane_key(0, 41));
    EXPECT_EQ(ranges[1].to, lane_key(0, 51));
}

// A job of another claim may have several entries, of which the walk passes some, in any order.
TEST(ScannedRanges, never_cover_a_job_of_another_claim) {
    for (bool const first : {true, false}) {
        std::vector<KeyRange> ranges;
        ScannedRanges scanned(kFirstKey, ranges);
        scanned.over(lane_key(0, 10));
        if (first)
            scanned.over(lane_key(0, 20));
        scanned.leave_out(range_of(lane_key(0, 20)));
        if (!first)
            scanned.over(lane_key(0, 20));
        scanned.leave_out(range_of(lane_key(0, 30)));
        ASSERT_EQ(ranges.size(), 1U);
        EXPECT_EQ(ranges[0].to, lane_key(0, 20));
    }
}

// A thousand pages of dead entries are worth a range, although the index shows the walk none of them.
TEST(ScannedRanges, include_dead_entries) {
    std::vector<KeyRange> ranges;
    ScannedRanges scanned(kFirstKey, ranges);
    scanned.leave_out(range_of(lane_key(0, 10)));
    scanned.over_dead();
    scanned.leave_out(range_of(lane_key(0, 900'000)));
    scanned.end_at(kLastKey);
    ASSERT_EQ(ranges.size(), 2U);
    EXPECT_EQ(ranges[0].from, lane_key(0, 11));
    EXPECT_EQ(ranges[0].to, lane_key(0, 900'000));
    EXPECT_EQ(ranges[1].to, kLastKey);
}

TEST(ScannedRanges, reach_to_the_key_at_which_the_walk_ends) {
    std::vector<KeyRange> ranges;
    ScannedRanges scanned(kFirstKey, ranges);
    scanned.end_at(kLastKey);
    ASSERT_EQ(ranges.size(), 1U);
    EXPECT_EQ(ranges[0].to, kLastKey);
}

TEST(DirtyRanges, stay_apart_when_they_are_far_from_each_other) {
    DirtyRanges dirty;
    dirty.add(range_of(lane_key(0, 5)));
    dirty.add(range_of(lane_key(0, 900'000)));
    dirty.add(range_of(lane_key(-5, 900'001)));
    dirty.add(range_of(lane_key(0, 8)));
    EXPECT_EQ(dirty.end() - dirty.begin(), 3);
}

} // namespace
} // namespace fairq::test
