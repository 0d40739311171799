// Processes that die in the middle of their work, and callers that go away: nothing is lost, nothing is done
// twice.
#include <csignal>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "queue_checker.hpp"
#include "server_test.hpp"
#include "tick_session.hpp"

using namespace fairq::driver;
using namespace fairq::test;

namespace {

constexpr Milliseconds kPatience{30'000};

std::vector<std::int64_t> completed_jobs(Database &database) {
    std::vector<std::int64_t> ids;
    for (const Row &row : database.query("SELECT id FROM job_history WHERE status = 'completed'"))
        ids.push_back(std::stoll(row[0].value()));
    return ids;
}

/// No client is told about jobs that ticks complete: history alone counts.
std::vector<std::string> findings_of_ticks(Database &database, const std::vector<std::int64_t> &enqueued) {
    return findings(database, {enqueued, completed_jobs(database)});
}

std::int64_t some_worker(Database &database) {
    return number(database, "SELECT min(pid) FROM pg_stat_activity WHERE backend_type = 'fairq worker' AND "
                            "datname = current_database()");
}

class Faults : public DatabaseTest {
protected:
    void SetUp() override {
        DatabaseTest::SetUp();
        if (!IsSkipped())
            register_gated_handler(database());
    }

    void expect_drained_by_next_tick(const std::vector<std::int64_t> &jobs) {
        EXPECT_EQ(jobs_with_status(database(), "locked"), 0);
        TickSession(conninfo(), 2).summary();
        EXPECT_EQ(findings_of_ticks(database(), jobs), std::vector<std::string>{});
        EXPECT_EQ(number(database(), "SELECT count(*) FROM job_leases"), 0);
        EXPECT_EQ(metrics_are_wrong(database()), "");
    }
};

TEST_F(Faults, a_terminated_worker_loses_nothing_and_the_others_do_their_jobs) {
    const std::vector<std::int64_t> jobs = enqueue(database(), "gated", 10, 2);
    close_gate(database());
    TickSession tick(conninfo(), 2);
    ASSERT_TRUE(wait_for_handlers_at_gate(database(), 2));
    database().query("SELECT pg_terminate_backend($1)", {std::to_string(some_worker(database()))});
    ASSERT_TRUE(wait_for_handlers_at_gate(database(), 1));
    open_gate(database());
    const std::string summary = tick.summary();
    EXPECT_NE(summary.find("\"completed\": 9"), std::string::npos) << summary;
    EXPECT_EQ(jobs_with_status(database(), "completed"), 9);
    EXPECT_EQ(number(database(), "SELECT attempts FROM job_live WHERE status = 'queued'"), 1);
    expect_drained_by_next_tick(jobs);
}

TEST_F(Faults, a_tick_whose_workers_are_all_terminated_gives_its_jobs_back) {
    const std::vector<std::int64_t> jobs = enqueue(database(), "gated", 10, 2);
    close_gate(database());
    TickSession tick(conninfo(), 2);
    ASSERT_TRUE(wait_for_handlers_at_gate(database(), 2));
    database().query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'fairq "
                     "worker' AND datname = current_database()");
    tick.summary();
    open_gate(database());
    EXPECT_EQ(jobs_with_status(database(), "queued"), 10);
    EXPECT_EQ(number(database(), "SELECT count(*) FROM job_live WHERE attempts = 0"), 8)
        << "no attempt of theirs began";
    expect_drained_by_next_tick(jobs);
}

TEST_F(Faults, a_terminated_coordinator_ends_the_tick_with_an_error_and_its_jobs_are_reclaimed) {
    const std::vector<std::int64_t> jobs = enqueue(database(), "gated", 10, 2);
    close_gate(database());
    TickSession tick(conninfo(), 2);
    ASSERT_TRUE(wait_for_handlers_at_gate(database(), 2));
    database().query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'fairq "
                     "coordinator' AND datname = current_database()");
    EXPECT_NE(tick.error(), "");
    ASSERT_TRUE(ticks_have_ended(database()));
    open_gate(database());
    EXPECT_TRUE(eventually(kPatience, [&] {
        database().query("SELECT reclaim_stuck_jobs('1 millisecond')");
        return jobs_with_status(database(), "queued") == 10;
    }));
    expect_drained_by_next_tick(jobs);
}

TEST_F(Faults, a_caller_that_runs_into_its_timeout_takes_its_workers_along) {
    const std::vector<std::int64_t> jobs = enqueue(database(), "gated", 10, 2);
    close_gate(database());
    TickSession tick(conninfo(), 2, "SET statement_timeout = '5s'");
    ASSERT_TRUE(wait_for_handlers_at_gate(database(), 2));
    EXPECT_EQ(tick.error(), "57014");
    EXPECT_TRUE(ticks_have_ended(database())) << "while the gate is still closed";
    open_gate(database());
    EXPECT_EQ(jobs_with_status(database(), "queued"), 10);
    expect_drained_by_next_tick(jobs);
}

TEST_F(Faults, a_caller_that_is_terminated_takes_its_workers_along) {
    const std::vector<std::int64_t> jobs = enqueue(database(), "gated", 10, 2);
    close_gate(database());
    TickSession tick(conninfo(), 2);
    ASSERT_TRUE(wait_for_handlers_at_gate(database(), 2));
    database().query("SELECT pg_terminate_backend($1)", {std::to_string(tick.caller_pid())});
    EXPECT_NE(tick.error(), "");
    EXPECT_TRUE(ticks_have_ended(database())) << "while the gate is still closed";
    open_gate(database());
    expect_drained_by_next_tick(jobs);
}

// ------------------------------------------------------------------------------------------ the whole server

using Crashes = ServerTest;

TEST_F(Crashes, a_killed_worker_restarts_the_server_and_loses_nothing) {
    register_gated_handler(database());
    const std::vector<std::int64_t> jobs = enqueue(database(), "gated", 10, 2);
    close_gate(database());
    TickSession tick(conninfo(), 2);
    ASSERT_TRUE(wait_for_handlers_at_gate(database(), 2));
    ASSERT_EQ(kill(static_cast<pid_t>(some_worker(database())), SIGKILL), 0);
    EXPECT_EQ(tick.error(), "connection lost");
    database().disconnect(); // this session may answer once more before the server ends it as well
    ASSERT_TRUE(server_answers());
    EXPECT_EQ(jobs_with_status(database(), "locked"), 10) << "by a lease that no worker extends";
    EXPECT_EQ(metrics_are_wrong(database()), "") << "shared memory is new";
    // Ticks reclaim what is stale before they claim.
    EXPECT_TRUE(eventually(kPatience, [&] {
        database().query("SELECT run_job_queue_parallel(2)");
        return jobs_with_status(database(), "completed") == 10;
    }));
    EXPECT_EQ(findings_of_ticks(database(), jobs), std::vector<std::string>{});
    EXPECT_EQ(metrics_are_wrong(database()), "");
}

TEST_F(Crashes, a_restarted_server_goes_on_without_what_was_in_shared_memory) {
    Replies replies;
    replies.enqueued = enqueue(database(), "plain", 200, 20);
    const ClaimedJobs before = claim(database(), 50);
    ASSERT_EQ(metrics_are_wrong(database()), "");
    ASSERT_TRUE(restart_server());
    EXPECT_EQ(metrics_are_wrong(database()), "") << "counted again";
    replies.completed = complete(database(), before.ids, before.lock_token);
    EXPECT_EQ(replies.completed.size(), 50u) << "the lease outlives the server";
    for (ClaimedJobs jobs = claim(database(), 30); !jobs.ids.empty(); jobs = claim(database(), 30)) {
        const std::vector<std::int64_t> accepted = complete(database(), jobs.ids, jobs.lock_token);
        replies.completed.insert(replies.completed.end(), accepted.begin(), accepted.end());
    }
    EXPECT_EQ(findings(database(), replies), std::vector<std::string>{});
    EXPECT_EQ(metrics_are_wrong(database()), "");
}

} // namespace
