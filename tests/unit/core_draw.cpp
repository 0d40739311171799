// core/schedule, draw(): what one claim gives to each lane, compared with weighted max-min fairness that is
// computed by filling water into vessels.
#include "core_allocations.hpp"
#include "core_lanes.hpp"
#include "core_seed.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <new>
#include <numeric>
#include <set>

#include <gtest/gtest.h>

namespace fairq::test {
namespace {

using core::draw;
using core::Grant;
using core::Schedule;

constexpr int kRandomCases = 100000;
constexpr int kPlenty = 1000000;
constexpr double kRounding = 1e-6;

struct Division {
    const char *name;
    Numbers weights, demands;
    int cap, total;
    int limit(std::size_t lane) const { return std::min(demands[lane], cap); }
};

std::ostream &operator<<(std::ostream &out, const Division &each) {
    out << "total " << each.total << ", cap " << each.cap << ", weight:demand";
    for (std::size_t lane = 0; lane < each.weights.size(); ++lane)
        out << ' ' << each.weights[lane] << ':' << each.demands[lane];
    return out;
}

// What each lane would get if jobs could be cut: water is filled into the lanes until it is used up, and
// stands equally high in all lanes that do not overflow.
std::vector<double> filled(const Division &each) {
    std::vector<std::size_t> order(each.weights.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    auto const height = [&](std::size_t lane) { return 1.0 * each.limit(lane) / each.weights[lane]; };
    std::sort(order.begin(), order.end(), [&](auto a, auto b) { return height(a) < height(b); });
    std::vector<double> grants(order.size());
    double left = each.total;
    double weight = sum_of(each.weights);
    for (std::size_t const lane : order) {
        grants[lane] = std::min<double>(each.limit(lane), left * each.weights[lane] / weight);
        left -= grants[lane];
        weight -= each.weights[lane];
    }
    return grants;
}

struct Outcome {
    Numbers got;
    int dry = 0; // lanes that turned out to have no job left
};

// A claim that takes at once what it draws: a lane that had fewer jobs gives the charge back and leaves, and
// the claim draws again what is missing.
Outcome claim_at_once(Schedule &schedule, const Division &each) {
    Outcome claim{Numbers(each.weights.size())};
    for (int missing = each.total; missing > 0;) {
        auto const room = [&](int lane) { return each.cap - claim.got[static_cast<std::size_t>(lane)]; };
        auto const grants = draw(schedule, missing, room);
        if (grants.empty())
            break;
        for (Grant const &grant : grants) {
            auto const lane = static_cast<std::size_t>(grant.lane);
            int const given = std::min(grant.jobs, each.demands[lane] - claim.got[lane]);
            claim.got[lane] += given;
            missing -= given;
            schedule.give_back(grant.lane, grant.jobs - given);
            if (claim.got[lane] == each.demands[lane])
                ++claim.dry;
            if (claim.got[lane] == each.demands[lane])
                schedule.leave(grant.lane);
        }
    }
    return claim;
}

// A claim that looks before it takes: as long as a lane turns out to have no more jobs than its grant, the
// claim gives everything back and draws again with what it knows now.
Numbers claim_exactly(Schedule &schedule, const Division &each) {
    Numbers room(each.weights.size(), each.cap);
    Numbers got(each.weights.size());
    for (bool taken = false; !taken;) {
        auto const grants =
            draw(schedule, each.total, [&](int lane) { return room[static_cast<std::size_t>(lane)]; });
        taken = true;
        for (Grant const &grant : grants) {
            auto const lane = static_cast<std::size_t>(grant.lane);
            taken = taken && (room[lane] <= each.demands[lane] || grant.jobs < each.demands[lane]);
            if (grant.jobs >= each.demands[lane])
                room[lane] = each.limit(lane);
        }
        for (Grant const &grant : grants)
            if (taken)
                got[static_cast<std::size_t>(grant.lane)] = grant.jobs;
            else
                schedule.give_back(grant.lane, grant.jobs);
    }
    return got;
}

Division random_division(std::mt19937_64 &random) {
    Division each{"", Numbers(static_cast<std::size_t>(number_in(random, 1, 12))), {}, 0, 0};
    each.demands.resize(each.weights.size());
    int const most_work = number_in(random, 1, 20);
    int const most_weight = number_in(random, 0, 1) == 0 ? 5 : 1000;
    int const few = number_in(random, 0, 3); // 0: two weights only, so that many lanes are at one height
    for (int &weight : each.weights)
        weight = few != 0 ? number_in(random, 1, most_weight) : number_in(random, 0, 4) == 0 ? 1000 : 100;
    for (int &demand : each.demands)
        demand = number_in(random, 0, 2) == 0 ? kPlenty : number_in(random, 1, most_work);
    each.cap = number_in(random, 0, 1) == 0 ? kPlenty : number_in(random, 1, 30);
    each.total = number_in(random, 0, 100);
    return each;
}

// Everything is given that work and caps allow, no lane gets more than it has or than its cap, and each grant
// is between `less` below and one job above the fair one.
void expect_fair(const Division &each, const Numbers &got, double less) {
    int possible = 0;
    std::vector<double> const fair = filled(each);
    for (std::size_t lane = 0; lane < got.size(); ++lane) {
        possible += each.limit(lane);
        ASSERT_GE(got[lane], 0);
        ASSERT_LE(got[lane], each.limit(lane));
        ASSERT_LE(got[lane], fair[lane] + 1 + kRounding) << "lane " << lane;
        ASSERT_GE(got[lane], fair[lane] - less - kRounding) << "lane " << lane;
    }
    ASSERT_EQ(sum_of(got), std::min(each.total, possible));
}

template <class Check>
void for_random_divisions(Check &&check) {
    std::mt19937_64 random = seeded_random();
    for (int i = 0; i < kRandomCases && !testing::Test::HasFailure(); ++i) {
        Division const each = random_division(random);
        SCOPED_TRACE(testing::Message() << each);
        Lanes lanes(each.weights);
        check(lanes.schedule, each);
    }
}

TEST(DrawProperties, a_claim_that_looks_before_it_takes_is_within_one_job_of_the_fair_division) {
    for_random_divisions([](Schedule &schedule, const Division &each) {
        expect_fair(each, claim_exactly(schedule, each), 1);
    });
}

TEST(DrawProperties, a_claim_that_takes_at_once_gives_no_lane_more_than_a_job_too_much) {
    for_random_divisions([](Schedule &schedule, const Division &each) {
        Outcome const claim = claim_at_once(schedule, each);
        expect_fair(each, claim.got, 1 + claim.dry);
    });
}

// Jobs are divided as if by one draw, also when a claim needs several and other claims draw in between.
TEST(DrawProperties, many_small_draws_are_as_fair_as_one) {
    for_random_divisions([](Schedule &schedule, const Division &each) {
        Division plenty = each;
        plenty.demands.assign(each.weights.size(), kPlenty);
        plenty.cap = kPlenty;
        Numbers got(each.weights.size());
        for (int missing = each.total; missing > 0;) {
            int const jobs = std::min(missing, 1 + each.cap % 7);
            for (Grant const &grant : draw(schedule, jobs, [](int) { return kPlenty; }))
                got[static_cast<std::size_t>(grant.lane)] += grant.jobs;
            missing -= jobs;
            expect_fair({"", plenty.weights, plenty.demands, kPlenty, each.total - missing}, got, 1);
        }
    });
}

// ------------------------------------------------------------------------------------------ tables

class DrawTable : public testing::TestWithParam<std::pair<Division, Numbers>> {};

TEST_P(DrawTable, is_divided_as_the_table_says) {
    auto const &[each, expected] = GetParam();
    Lanes exact(each.weights), at_once(each.weights);
    EXPECT_EQ(claim_exactly(exact.schedule, each), expected);
    EXPECT_EQ(claim_at_once(at_once.schedule, each).got, expected);
}

const std::pair<Division, Numbers> kTable[] = {
    {{"no_lanes", {}, {}, 25, 50}, {}},
    {{"nothing_to_give", {1, 2}, {5, 5}, 25, 0}, {0, 0}},
    {{"less_than_nothing_to_give", {1, 2}, {5, 5}, 25, -3}, {0, 0}},
    {{"a_lone_lane_gets_everything", {7}, {kPlenty}, kPlenty, 50}, {50}},
    {{"the_cap_holds_a_lone_lane_back", {7}, {kPlenty}, 25, 50}, {25}},
    {{"even_parts", {1, 1}, {kPlenty, kPlenty}, 25, 50}, {25, 25}},
    {{"parts_by_weight", {1, 2, 5}, {kPlenty, kPlenty, kPlenty}, kPlenty, 80}, {10, 20, 50}},
    {{"only_the_proportion_of_weights_counts", {100, 200, 500}, {99, 99, 99}, kPlenty, 80}, {10, 20, 50}},
    {{"rests_go_to_the_first", {1, 1, 1}, {kPlenty, kPlenty, kPlenty}, kPlenty, 11}, {4, 4, 3}},
    {{"what_one_cannot_use_the_others_get_by_weight", {5, 1, 3}, {2, 99, 99}, kPlenty, 50}, {2, 12, 36}},
    {{"the_cap_counts_like_a_demand", {1000, 1, 3}, {99, 99, 99}, 10, 22}, {10, 3, 9}},
    {{"work_below_the_total", {1, 10, 100}, {1, 2, 3}, kPlenty, 50}, {1, 2, 3}},
    {{"small_demands_cascade", {1, 1, 1, 1}, {1, 3, 99, 99}, kPlenty, 24}, {1, 3, 10, 10}},
};

INSTANTIATE_TEST_SUITE_P(Table, DrawTable, testing::ValuesIn(kTable),
                         [](const auto &test) { return std::string(test.param.first.name); });

// ------------------------------------------------------------------------------------------ one draw

TEST(Draw, has_one_grant_a_lane_in_the_order_in_which_they_are_served) {
    Lanes lanes({1, 10, 1});
    auto const grants = draw(lanes.schedule, 12, [](int) { return kPlenty; });
    ASSERT_EQ(grants.size(), 3u);
    EXPECT_EQ(grants[0].lane, 1);
    EXPECT_EQ(grants[0].jobs, 10);
    EXPECT_EQ(grants[1].lane, 0);
    EXPECT_EQ(grants[2].lane, 2);
}

TEST(Draw, asks_a_lane_for_its_room_once_and_only_when_it_is_reached) {
    Lanes lanes({1, 1, 1, 1});
    std::multiset<int> asked;
    auto const room = [&](int lane) {
        asked.insert(lane);
        return lane == 0 ? 0 : 2;
    };
    EXPECT_EQ(draw(lanes.schedule, 2, room).size(), 2u);
    EXPECT_EQ(asked, (std::multiset<int>{0, 1, 2}));
    EXPECT_EQ(draw(lanes.schedule, 99, room).size(), 3u);
    EXPECT_EQ(asked, (std::multiset<int>{0, 0, 1, 1, 2, 2, 3}));
}

TEST(Draw, leaves_no_lane_held) {
    Lanes lanes({1, 5, 1000});
    for (int round = 0; round < 100; ++round) {
        draw(lanes.schedule, 50, [&](int lane) { return lane + round % 2; });
        for (int lane = 0; lane < 3; ++lane) {
            ASSERT_TRUE(lanes.schedule.contains(lane));
            ASSERT_NE(lanes[lane].state, core::LaneState::held);
            ASSERT_NE(lanes[lane].state, core::LaneState::holding);
            ASSERT_EQ(lanes[lane].grant, 0);
        }
    }
    EXPECT_EQ(lanes.schedule.lanes(), 3);
}

// True: draw() failed at the allocation after so many. Most lanes have no room, so that a draw holds them.
bool draw_runs_out_of_memory(Schedule &schedule, int allocations) {
    std::function<int(int)> const room = [](int lane) { return lane % 10 == 0 ? 2 : 0; };
    allocations_left = allocations;
    try {
        draw(schedule, 50, room);
    } catch (const std::bad_alloc &) {
        return true;
    }
    allocations_left = -1;
    return false;
}

TEST(Draw, changes_nothing_when_it_runs_out_of_memory) {
    Lanes lanes(Numbers(200, 1));
    auto const before = lanes.all();
    core::ScheduleState const state = lanes.state();
    int failed = 0;
    while (draw_runs_out_of_memory(lanes.schedule, failed)) {
        ++failed;
        for (std::size_t lane = 0; lane < before.size(); ++lane)
            ASSERT_EQ(std::memcmp(&lanes.all()[lane], &before[lane], sizeof before[lane]), 0)
                << "lane " << lane << " after allocation " << failed;
        ASSERT_EQ(std::memcmp(&lanes.state(), &state, sizeof state), 0) << "after allocation " << failed;
    }
    EXPECT_GT(failed, 0);
}

// A lane that draw after draw is held at its cap saves nothing up for the time when the cap is gone.
TEST(Draw, saves_nothing_up_for_a_lane_at_its_cap) {
    Lanes lanes({1000, 1, 1});
    for (int round = 0; round < 1000; ++round)
        draw(lanes.schedule, 6, [&](int lane) { return lane == 0 ? 2 : kPlenty; });
    lanes.schedule.set_weight(0, 1);
    Numbers const next = lanes.picked(30);
    EXPECT_NEAR(next[0], 10, 1);
    EXPECT_NEAR(next[1], 10, 2);
    EXPECT_NEAR(next[2], 10, 2);
}

// Draws of one job, with room for one: a cap that stops no lane changes nothing.
TEST(Draw, of_one_job_with_room_for_one_is_a_pick) {
    std::mt19937_64 random = seeded_random();
    for (int i = 0; i < 1000; ++i) {
        Numbers weights(static_cast<std::size_t>(number_in(random, 1, 8)));
        for (int &weight : weights)
            weight = number_in(random, 1, 1000);
        Lanes drawn(weights);
        Numbers got(weights.size());
        for (int jobs = 1; jobs <= 200; ++jobs) {
            auto const grants = draw(drawn.schedule, 1, [](int) { return 1; });
            ASSERT_EQ(grants.size(), 1u);
            ++got[static_cast<std::size_t>(grants[0].lane)];
            for (std::size_t lane = 0; lane < got.size(); ++lane)
                ASSERT_LE(std::fabs(got[lane] - 1.0 * jobs * weights[lane] / sum_of(weights)), 1 + kRounding);
        }
    }
}

// Whatever the order of the lanes and the size of the claims, no lane is ever more than one job ahead.
TEST(Draw, goes_round_evenly_between_equals) {
    std::mt19937_64 random = seeded_random();
    for (int round = 0; round < 2000; ++round) {
        Numbers order(static_cast<std::size_t>(number_in(random, 1, 20)));
        std::iota(order.begin(), order.end(), 0);
        std::shuffle(order.begin(), order.end(), random);
        Lanes lanes(static_cast<int>(order.size()));
        int const weight = number_in(random, 1, 1000);
        for (int const lane : order)
            lanes.schedule.enter(lane, weight);
        Numbers got(order.size());
        for (int claim = 0; claim < 50; ++claim) {
            for (Grant const &grant :
                 draw(lanes.schedule, number_in(random, 1, 9), [](int) { return kPlenty; }))
                got[static_cast<std::size_t>(grant.lane)] += grant.jobs;
            auto const [least, most] = std::minmax_element(got.begin(), got.end());
            ASSERT_LE(*most - *least, 1) << order.size() << " lanes of weight " << weight;
        }
    }
}

} // namespace
} // namespace fairq::test
