// core/job_status: names and order are those of the SQL enum.
#include "core/job_status.hpp"

#include <set>
#include <string>

#include <gtest/gtest.h>

namespace fairq::test {
namespace {

using core::JobStatus;

TEST(JobStatus, has_the_names_and_the_order_of_the_sql_enum) {
    constexpr JobStatus kOrder[] = {JobStatus::blocked,  JobStatus::scheduled, JobStatus::queued,
                                    JobStatus::locked,   JobStatus::completed, JobStatus::dead,
                                    JobStatus::cancelled};
    const char *const names[] = {"blocked",   "scheduled", "queued",   "locked",
                                 "completed", "dead",      "cancelled"};
    ASSERT_EQ(std::size(kOrder), core::kStatuses);
    for (std::size_t i = 0; i < core::kStatuses; ++i) {
        EXPECT_EQ(core::index_of(kOrder[i]), i);
        EXPECT_STREQ(core::name_of(kOrder[i]), names[i]);
    }
}

TEST(JobStatus, has_a_name_for_each_status_and_no_name_twice) {
    std::set<std::string> const names(core::kStatusNames.begin(), core::kStatusNames.end());
    EXPECT_EQ(names.size(), core::kStatuses);
    EXPECT_EQ(names.count(""), 0u);
}

} // namespace
} // namespace fairq::test
