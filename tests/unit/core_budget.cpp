// core_budget.cpp: how much work rides on a call.
#include <gtest/gtest.h>

#include "core/budget.hpp"
#include "core/elapsed.hpp"

namespace fairq::core {
namespace {

/// Does chunks of rows that take so long each; returns when the last one ended.
std::int64_t work(Budget &budget, std::int64_t each, int rows_there) {
    std::int64_t now = 0;
    while (rows_there > 0 && !budget.spent(now)) {
        const int rows = std::min(budget.chunk(), rows_there);
        const std::int64_t began = now;
        now += rows * each;
        rows_there -= rows;
        budget.used(rows, began, now);
    }
    return now;
}

TEST(Budget, quick_rows_are_all_done) {
    Budget budget(0, 20'000, 1'000);
    work(budget, 1, 10'000);
    EXPECT_EQ(budget.rows(), 0);
}

TEST(Budget, slow_rows_end_with_the_time) {
    for (const std::int64_t each : {10, 50, 100, 399}) {
        Budget budget(0, 20'000, 1'000'000);
        EXPECT_LE(work(budget, each, 1'000'000), 20'000 + each) << each;
        EXPECT_LE(budget.rows(), 1'000'000 - 20'000 / each / 2) << each;
    }
}

TEST(Budget, a_row_that_does_not_fit_is_done_nevertheless) {
    Budget budget(0, 20'000, 1'000);
    EXPECT_EQ(budget.chunk(), 50);
    budget.used(50, 0, 1'000'000);
    EXPECT_TRUE(budget.spent(1'000'000));
    EXPECT_EQ(budget.chunk(), 1);
}

TEST(Budget, the_next_chunk_is_not_more_than_twice_as_large) {
    Budget budget(0, 1'000'000, 1'000'000);
    budget.used(50, 0, 1);
    EXPECT_EQ(budget.chunk(), 100);
    budget.used(100, 1, 2);
    EXPECT_EQ(budget.chunk(), 200);
}

TEST(Budget, no_chunk_is_larger_than_the_rows_that_are_left) {
    Budget budget(0, 1'000'000, 7);
    EXPECT_EQ(budget.chunk(), 7);
    budget.used(5, 0, 1);
    EXPECT_EQ(budget.chunk(), 2);
    budget.used(2, 1, 2);
    EXPECT_TRUE(budget.spent(2));
}

TEST(Budget, a_chunk_without_rows_changes_nothing_but_the_time) {
    Budget budget(0, 100, 10);
    budget.used(0, 0, 50);
    EXPECT_EQ(budget.chunk(), 10);
    EXPECT_FALSE(budget.spent(50));
    EXPECT_TRUE(budget.spent(100));
}

TEST(Elapsed, a_time_that_is_to_come_has_elapsed) {
    EXPECT_FALSE(has_elapsed(10, 100, 109));
    EXPECT_TRUE(has_elapsed(10, 100, 110));
    EXPECT_FALSE(has_elapsed(10, 100, 100));
    EXPECT_TRUE(has_elapsed(10, 100, 99));
    EXPECT_TRUE(has_elapsed(10, 3'600'000'000, 0));
}

} // namespace
} // namespace fairq::core
