// How metrics come by the number of jobs of a table.
#include <gtest/gtest.h>

#include "core/count_plan.hpp"

using namespace fairq::core;

TEST(CountPlan, a_small_table_is_counted_until_its_number_is_known_and_again_when_that_is_old) {
    EXPECT_EQ(count_by(Known::nothing, true, false), CountBy::counting);
    EXPECT_EQ(count_by(Known::an_estimate, true, false), CountBy::counting);
    EXPECT_EQ(count_by(Known::a_count, true, false), CountBy::keeping);
    EXPECT_EQ(count_by(Known::a_count, true, true), CountBy::counting);
}

TEST(CountPlan, a_large_table_is_never_counted) {
    for (const Known known : {Known::nothing, Known::an_estimate, Known::a_count})
        for (const bool due : {false, true})
            EXPECT_NE(count_by(known, false, due), CountBy::counting);
}

TEST(CountPlan, an_estimate_never_takes_the_place_of_a_count) {
    EXPECT_EQ(count_by(Known::a_count, false, true), CountBy::keeping);
    EXPECT_EQ(count_by(Known::an_estimate, false, false), CountBy::keeping);
    EXPECT_EQ(count_by(Known::an_estimate, false, true), CountBy::estimating);
    EXPECT_EQ(count_by(Known::nothing, false, false), CountBy::estimating);
}
