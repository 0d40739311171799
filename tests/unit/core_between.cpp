// core/between: the random name at which a walk over the tenants starts.
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

TEST(Between, orders_bytes_above_127_behind_those_below) {
    std::string const last = "\xc3\xbc";
    for (std::uint64_t random = 0; random < 300; ++random) {
        std::string const name = between("z", last, random);
        EXPECT_LE(std::string("z"), name);
        EXPECT_LE(name, last);
    }
    EXPECT_EQ(between("z", last, 0xc3 - 'z'), "\xc3");
}

// A name of any bytes but NUL; it often begins as `beginning` does.
std::string random_name(std::mt19937_64 &random, const std::string &beginning) {
    std::string name = beginning.substr(0, random() % (beginning.size() + 1));
    for (int left = number_in(random, 0, 6); left > 0 || name.empty(); --left)
        name += static_cast<char>(number_in(random, 1, 255));
    return name;
}

TEST(BetweenProperties, the_name_is_never_outside_its_range) {
    std::mt19937_64 random = seeded_random();
    for (int i = 0; i < kRandomCases; ++i) {
        std::string first = random_name(random, ""), last = random_name(random, first);
        if (last < first)
            std::swap(first, last);
        std::string const name = between(first, last, random());
        ASSERT_LE(first, name) << testing::PrintToString(last);
        ASSERT_LE(name, last) << testing::PrintToString(first);
    }
}

TEST(BetweenProperties, names_spread_over_the_first_byte_that_differs) {
    std::mt19937_64 random = seeded_random();
    std::set<std::string> names;
    for (int i = 0; i < 1000; ++i)
        names.insert(between("tenant-a1", "tenant-z9", random()));
    EXPECT_EQ(names.size(), 26u) << "tenant-a1, then tenant-b to tenant-z";
}

} // namespace
} // namespace fairq::test
