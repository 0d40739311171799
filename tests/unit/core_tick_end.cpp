// When the caller of a tick goes on.
#include <gtest/gtest.h>

#include "core/tick_end.hpp"

using fairq::core::TickEnd;
using fairq::core::TickStep;

namespace {

constexpr bool kJobsWait = true, kNoJobs = false, kWorkerFree = true, kAllBusy = false;

} // namespace

TEST(TickEnd, goes_on_while_all_workers_are_busy) {
    TickEnd end(1000, 10);
    for (int now = 0; now < 1000; now += 100)
        EXPECT_EQ(end.next(now, now < 500 ? kJobsWait : kNoJobs, kAllBusy), TickStep::go_on) << now;
    EXPECT_EQ(end.asks_again_at(), 1000);
}

TEST(TickEnd, goes_on_while_jobs_wait_although_a_worker_has_gone) {
    TickEnd end(1000, 10);
    EXPECT_EQ(end.next(100, kJobsWait, kWorkerFree), TickStep::go_on) << "the other workers take them";
    EXPECT_EQ(end.asks_again_at(), 1000);
}

TEST(TickEnd, leaves_the_last_handlers_when_its_patience_with_a_free_worker_ends) {
    TickEnd end(1000, 10);
    EXPECT_EQ(end.next(100, kNoJobs, kAllBusy), TickStep::go_on);
    EXPECT_EQ(end.next(200, kNoJobs, kWorkerFree), TickStep::go_on);
    EXPECT_EQ(end.asks_again_at(), 210);
    EXPECT_EQ(end.next(209, kNoJobs, kWorkerFree), TickStep::go_on);
    EXPECT_EQ(end.next(210, kNoJobs, kWorkerFree), TickStep::leave);
}

TEST(TickEnd, leaves_at_once_without_patience) {
    TickEnd end(1000, 0);
    EXPECT_EQ(end.next(100, kNoJobs, kWorkerFree), TickStep::leave);
}

TEST(TickEnd, takes_back_at_its_deadline_what_waits_and_gives_what_runs_its_patience) {
    TickEnd end(1000, 10);
    EXPECT_EQ(end.next(1000, kJobsWait, kAllBusy), TickStep::take_back);
    EXPECT_EQ(end.next(1001, kNoJobs, kAllBusy), TickStep::go_on);
    EXPECT_EQ(end.asks_again_at(), 1011);
    EXPECT_EQ(end.next(1011, kNoJobs, kAllBusy), TickStep::leave);
}

TEST(TickEnd, a_deadline_that_has_passed_already_takes_back_what_it_can) {
    TickEnd end(0, 0);
    EXPECT_EQ(end.next(5, kJobsWait, kAllBusy), TickStep::take_back);
    EXPECT_EQ(end.next(5, kNoJobs, kAllBusy), TickStep::leave);
}
