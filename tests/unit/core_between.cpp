// core/between: the random place where a walk starts.
#include "core/between.hpp"

#include "core_seed.hpp"

#include <algorithm>
#include <set>

#include <gtest/gtest.h>

namespace fairq::test {
namespace {

using core::between;

constexpr int kRandomCases = 100000;

TEST(Between, of_two_equal_names_is_that_name) {
    EXPECT_EQ(between("a", "a", 12345), "a");
    EXPECT_EQ(between("tenant-1", "tenant-1", 0), "tenant-1");
}

TEST(Between, can_be_the_first_and_the_last_name) {
    EXPECT_EQ(between("a", "c", 0), "a");
    EXPECT_EQ(between("a", "c", 2), "c");
    EXPECT_EQ(between("tenant-1", "tenant-9", 8), "tenant-9");
}

TEST(Between, lies_behind_a_first_name_that_begins_the_last) {
    EXPECT_EQ(between("ten", "tenant", 0), "ten");
    EXPECT_EQ(between("ten", "tenant", 'a'), "tena");
    EXPECT_EQ(between("ten", "tenant", 5), std::string("ten\5"));
}

TEST(Between, orders_bytes_above_127_behind_the_others) {
    std::string const last = "\xc3\xbc";
    for (std::uint64_t random = 0; random < 300; ++random) {
        std::string const place = between("z", last, random);
        EXPECT_LE(std::string("z"), place);
        EXPECT_LE(place, last);
    }
    EXPECT_EQ(between("z", last, 0xc3 - 'z'), "\xc3");
}

// Names as mean as they can be: all bytes but NUL, and often a common beginning.
std::string random_name(std::mt19937_64 &random, const std::string &beginning) {
    std::string name = beginning.substr(0, random() % (beginning.size() + 1));
    for (int left = number_in(random, 0, 6); left > 0 || name.empty(); --left)
        name += static_cast<char>(number_in(random, 1, 255));
    return name;
}

TEST(BetweenProperties, a_place_is_never_outside_its_range) {
    std::mt19937_64 random = seeded_random();
    for (int i = 0; i < kRandomCases; ++i) {
        std::string first = random_name(random, ""), last = random_name(random, first);
        if (last < first)
            std::swap(first, last);
        std::string const place = between(first, last, random());
        ASSERT_LE(first, place) << testing::PrintToString(last);
        ASSERT_LE(place, last) << testing::PrintToString(first);
    }
}

TEST(BetweenProperties, places_spread_over_the_first_bytes_that_differ) {
    std::mt19937_64 random = seeded_random();
    std::set<std::string> places;
    for (int i = 0; i < 1000; ++i)
        places.insert(between("tenant-a1", "tenant-z9", random()));
    EXPECT_EQ(places.size(), 26u) << "tenant-a1, then tenant-b to tenant-z";
}

} // namespace
} // namespace fairq::test
