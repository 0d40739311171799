// Durations, rates and numbers as text.
#include <gtest/gtest.h>

#include "units.hpp"

using namespace fairq::driver;

TEST(Units, durations_are_sums_of_numbers_with_units) {
    EXPECT_EQ(parse_duration("500ms"), Milliseconds(500));
    EXPECT_EQ(parse_duration("30s"), Milliseconds(30'000));
    EXPECT_EQ(parse_duration("1.5s"), Milliseconds(1'500));
    EXPECT_EQ(parse_duration("1m30s"), Milliseconds(90'000));
    EXPECT_EQ(parse_duration("2h"), Milliseconds(7'200'000));
}

TEST(Units, what_is_no_duration_is_refused) {
    for (const char *text :
         {"", "5", "s", "-1s", "1d", "1 s", "1s ", "1e3s", "..s", "1.2.3s", "99999h", "nans"})
        EXPECT_FALSE(parse_duration(text)) << text;
}

TEST(Units, rates_are_events_per_second_minute_or_hour) {
    EXPECT_DOUBLE_EQ(*parse_rate("50/s"), 50.0);
    EXPECT_DOUBLE_EQ(*parse_rate("120/m"), 2.0);
    EXPECT_DOUBLE_EQ(*parse_rate("7200/h"), 2.0);
}

TEST(Units, what_is_no_rate_is_refused) {
    for (const char *text : {"", "50", "50/", "/s", "0/s", "-5/s", "50/ms", "50/x", "50/ss", "50 /s"})
        EXPECT_FALSE(parse_rate(text)) << text;
}

TEST(Units, durations_are_shown_with_at_most_two_units) {
    EXPECT_EQ(format_duration(Milliseconds(850)), "850ms");
    EXPECT_EQ(format_duration(Milliseconds(4'250)), "4.2s");
    EXPECT_EQ(format_duration(Milliseconds(30'000)), "30s");
    EXPECT_EQ(format_duration(Milliseconds(67'900)), "1m07s");
    EXPECT_EQ(format_duration(Milliseconds(300'000)), "5m");
    EXPECT_EQ(format_duration(Milliseconds(3'900'000)), "1h05m");
}

TEST(Units, numbers_are_grouped_and_carry_at_most_three_decimals) {
    EXPECT_EQ(format_count(0), "0");
    EXPECT_EQ(format_count(999), "999");
    EXPECT_EQ(format_count(-1'000), "-1,000");
    EXPECT_EQ(format_count(1'234'567), "1,234,567");
    EXPECT_EQ(format_number(0.24049), "0.24");
    EXPECT_EQ(format_number(180), "180");
    EXPECT_EQ(format_number(-1234.5), "-1,234.5");
    EXPECT_EQ(format_number(-0.0001), "0");
}

TEST(Units, sql_intervals_use_the_largest_whole_unit) {
    EXPECT_EQ(sql_interval(Milliseconds(1'000)), "interval '1 second'");
    EXPECT_EQ(sql_interval(Milliseconds(58'000)), "interval '58 seconds'");
    EXPECT_EQ(sql_interval(Milliseconds(250)), "interval '250 milliseconds'");
}
