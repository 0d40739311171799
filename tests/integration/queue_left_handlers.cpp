// Handlers that run longer than their tick: they hold up no other job, they end in their own process and lease, and the
// next tick tells of them.
#include <fstream>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "queue_checker.hpp"
#include "server_test.hpp"
#include "tick_session.hpp"

using namespace fairq::driver;
using namespace fairq::test;
using nlohmann::json;

namespace {

constexpr Milliseconds kPatience{30'000};
// Long enough for quick handlers to end, also on a busy machine.
constexpr const char *kPatient = "SET fairq.tick_patience = '3 s'";
constexpr const char *kShort = "SET fairq.tick_patience = 0; SET fairq.tick_deadline = '4 s'";

/// Every lease is stale after 200 ms without a heartbeat.
class LeftHandlers : public ServerTest {
protected:
    void SetUp() override {
        ServerTest::SetUp();
        if (IsSkipped())
            return;
        register_gated_handler(database());
        database().query("CREATE FUNCTION do_quickly(job job_queue) RETURNS void LANGUAGE sql AS ''");
        database().query("SELECT register_job_handler('quick', 'do_quickly(job_queue)')");
    }

    /// Ends in time, or the test fails instead of waiting for a gate that nobody opens.
    json run_tick(int workers, const std::string &setting) {
        TickSession tick(conninfo(), workers, setting);
        const bool returns = tick.returns_within(kPatience);
        EXPECT_TRUE(returns) << "it waits for its last handler";
        if (!returns)
            open_gate(database());
        return json::parse(tick.summary());
    }

    std::int64_t leave_one_handler() {
        close_gate(database());
        const std::int64_t job = enqueue(database(), "gated", 1, 1)[0];
        EXPECT_EQ(run_tick(2, kPatient)["running"], 1);
        EXPECT_TRUE(wait_for_handlers_at_gate(database(), 1));
        return job;
    }

    std::string status(std::int64_t job) {
        return database()
            .scalar("SELECT status::text FROM job_queue WHERE id = $1", {std::to_string(job)})
            .value();
    }

    bool ends(std::int64_t job, const std::string &as) {
        return eventually(kPatience, [&] { return status(job) == as; });
    }

    void query(const std::string &statement) { database().query(statement); }
};

TEST_F(LeftHandlers, hold_up_no_job_of_others) {
    close_gate(database());
    const std::int64_t slow = enqueue(database(), "gated", 1, 1)[0];
    enqueue(database(), "quick", 5, 5);
    const json first = run_tick(4, kPatient);
    EXPECT_EQ(first["claimed"], 6);
    EXPECT_EQ(first["completed"], 5);
    EXPECT_EQ(first["running"], 1);
    EXPECT_EQ(first["earlier"]["running"], 0);

    enqueue(database(), "quick", 5, 5);
    const json second = run_tick(4, kPatient);
    EXPECT_EQ(second["completed"], 5);
    EXPECT_EQ(second["running"], 0);
    EXPECT_EQ(second["earlier"]["running"], 1);
    EXPECT_EQ(second["workers"].size(), 3u) << "the fourth is still busy";
    EXPECT_EQ(status(slow), "locked");

    open_gate(database());
    EXPECT_TRUE(ends(slow, "completed"));
    ASSERT_TRUE(ticks_have_ended(database()));
    EXPECT_EQ(number(database(), "SELECT attempts FROM job_history WHERE id = " + std::to_string(slow)), 1);
    EXPECT_EQ(number(database(), "SELECT count(*) FROM job_leases"), 0);
    const json third = run_tick(4, kPatient);
    EXPECT_EQ(third["earlier"]["completed"], 1);
    EXPECT_EQ(third["earlier"]["running"], 0);
    EXPECT_EQ(third["workers"].size(), 4u);
    EXPECT_EQ(run_tick(4, kPatient)["earlier"]["completed"], 0) << "told once";
    EXPECT_EQ(metrics_are_wrong(database()), "");
}

TEST_F(LeftHandlers, keep_their_lease) {
    const std::int64_t job = leave_one_handler();
    const std::string first = database().scalar("SELECT heartbeat_at FROM job_leases").value();
    EXPECT_TRUE(eventually(kPatience, [&] {
        query("SELECT reclaim_stuck_jobs('200 ms')");
        return database()
                   .scalar("SELECT count(*) FROM job_leases WHERE heartbeat_at > $1::timestamptz + interval "
                           "'1 second'",
                           {first})
                   .value() == "1";
    })) << "five times as long as a lease lives without heartbeats";
    EXPECT_EQ(status(job), "locked");
    open_gate(database());
    EXPECT_TRUE(ends(job, "completed"));
    EXPECT_TRUE(ticks_have_ended(database()));
}

TEST_F(LeftHandlers, count_as_workers_so_that_there_are_never_more_than_asked_for) {
    leave_one_handler();
    enqueue(database(), "gated", 1, 1);
    EXPECT_EQ(run_tick(2, kShort)["running"], 1) << "at its deadline";
    ASSERT_TRUE(wait_for_handlers_at_gate(database(), 2));
    enqueue(database(), "gated", 1, 1);
    const json third = run_tick(2, kShort);
    EXPECT_EQ(third["claimed"], 0);
    EXPECT_EQ(third["workers"].size(), 0u);
    EXPECT_EQ(third["earlier"]["running"], 2);
    EXPECT_EQ(jobs_with_status(database(), "queued"), 1);
    open_gate(database());
    ASSERT_TRUE(ticks_have_ended(database()));
    const json last = run_tick(2, kPatient);
    EXPECT_EQ(last["completed"], 1);
    EXPECT_EQ(last["earlier"]["completed"], 2);
}

TEST_F(LeftHandlers, are_those_that_run_at_the_deadline_and_the_rest_goes_back) {
    close_gate(database());
    enqueue(database(), "gated", 5, 5);
    const json summary = run_tick(2, kShort);
    EXPECT_EQ(summary["claimed"], 5);
    EXPECT_EQ(summary["running"], 2);
    EXPECT_EQ(number(database(), "SELECT count(*) FROM job_live WHERE status = 'queued' AND attempts = 0"),
              3);
    EXPECT_EQ(jobs_with_status(database(), "locked"), 2);
    open_gate(database());
    ASSERT_TRUE(ticks_have_ended(database()));
    EXPECT_EQ(run_tick(2, kPatient)["completed"], 3);
    EXPECT_EQ(jobs_with_status(database(), "completed"), 5);
    EXPECT_EQ(metrics_are_wrong(database()), "");
}

TEST_F(LeftHandlers, end_by_their_timeout) {
    query("CREATE FUNCTION sleep(job job_queue) RETURNS void LANGUAGE sql AS 'SELECT pg_sleep(600)'");
    query("SELECT register_job_handler('sleep', 'sleep(job_queue)')");
    const std::int64_t job =
        number(database(), "SELECT enqueue_job('a', 'sleep', timeout => '8 s', max_attempts => 1)");
    EXPECT_EQ(run_tick(2, kPatient)["running"], 1);
    EXPECT_TRUE(ends(job, "dead"));
    ASSERT_TRUE(ticks_have_ended(database()));
    EXPECT_EQ(run_tick(2, kPatient)["earlier"]["failed"], 1);
}

TEST_F(LeftHandlers, are_refused_once_their_coordinator_was_terminated_and_the_lease_reclaimed) {
    const std::int64_t job = leave_one_handler();
    query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'fairq coordinator'");
    EXPECT_TRUE(eventually(kPatience, [&] {
        query("SELECT reclaim_stuck_jobs('1 millisecond')");
        return status(job) == "queued";
    }));
    open_gate(database());
    ASSERT_TRUE(ticks_have_ended(database()));
    EXPECT_EQ(status(job), "queued");
    EXPECT_EQ(run_tick(2, kPatient)["completed"], 1);
}

TEST_F(LeftHandlers, whose_worker_was_terminated_give_their_job_back) {
    const std::int64_t job = leave_one_handler();
    query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'fairq worker'");
    EXPECT_TRUE(ends(job, "queued"));
    open_gate(database());
    EXPECT_TRUE(ticks_have_ended(database()));
}

TEST_F(LeftHandlers, whose_worker_was_terminated_give_their_job_back_while_others_run) {
    close_gate(database());
    const std::vector<std::int64_t> jobs = enqueue(database(), "gated", 2, 2);
    EXPECT_EQ(run_tick(2, kShort)["running"], 2);
    ASSERT_TRUE(wait_for_handlers_at_gate(database(), 2));
    query("SELECT pg_terminate_backend(min(pid)) FROM pg_stat_activity WHERE backend_type = 'fairq worker'");
    EXPECT_TRUE(eventually(kPatience, [&] { return jobs_with_status(database(), "queued") == 1; }));
    EXPECT_EQ(jobs_with_status(database(), "locked"), 1);
    EXPECT_EQ(number(database(), "SELECT count(*) FROM job_leases"), 1) << "the other one keeps its lease";
    open_gate(database());
    EXPECT_TRUE(eventually(kPatience, [&] { return jobs_with_status(database(), "completed") == 1; }));
    ASSERT_TRUE(ticks_have_ended(database()));
    EXPECT_EQ(run_tick(2, kPatient)["completed"], 1);
    EXPECT_EQ(number(database(), "SELECT count(*) FROM job_leases"), 0);
    EXPECT_EQ(metrics_are_wrong(database()), "");
}

// Before the tick has returned.
TEST_F(LeftHandlers, are_not_waited_for_by_the_job_of_a_worker_that_was_terminated) {
    close_gate(database());
    enqueue(database(), "gated", 2, 2);
    TickSession tick(conninfo(), 2, "SET fairq.tick_patience = '1 min'; SET fairq.tick_deadline = '1 min'");
    ASSERT_TRUE(wait_for_handlers_at_gate(database(), 2));
    query("SELECT pg_terminate_backend(min(pid)) FROM pg_stat_activity WHERE backend_type = 'fairq worker'");
    EXPECT_TRUE(eventually(kPatience, [&] { return jobs_with_status(database(), "queued") == 1; }));
    EXPECT_EQ(jobs_with_status(database(), "locked"), 1);
    open_gate(database());
    EXPECT_TRUE(tick.returns_within(kPatience));
    const json summary = json::parse(tick.summary());
    EXPECT_EQ(summary["completed"], 1);
    EXPECT_EQ(jobs_with_status(database(), "queued"), 1);
}

TEST_F(LeftHandlers, outlive_the_session_of_their_caller) {
    const std::int64_t job = leave_one_handler(); // whose session has gone
    query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'caller'");
    EXPECT_EQ(status(job), "locked");
    open_gate(database());
    EXPECT_TRUE(ends(job, "completed"));
    EXPECT_TRUE(ticks_have_ended(database()));
}

TEST_F(LeftHandlers, end_before_the_extension_is_dropped_and_their_processes_after_that) {
    leave_one_handler();
    TickSession drop(conninfo(), "DROP EXTENSION fairq CASCADE");
    EXPECT_TRUE(eventually(kPatience, [&] {
        return number(database(),
                      "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'DROP EXTENSION%' AND "
                      "wait_event_type = 'Lock'") == 1;
    })) << "for the handler's transaction";
    open_gate(database());
    // DROP EXTENSION takes the locks of all tables, in an order that is not the queue's, while the tick takes its own:
    // PostgreSQL may end the command as the victim of a deadlock. Then it is repeated.
    const std::string error = drop.error();
    EXPECT_TRUE(error.empty() || error == "40P01") << error;
    EXPECT_TRUE(eventually(kPatience, [&] {
        try {
            query("DROP EXTENSION IF EXISTS fairq CASCADE");
            return true;
        } catch (const DatabaseError &) {
            return false;
        }
    }));
    EXPECT_TRUE(ticks_have_ended(database()));
}

TEST_F(LeftHandlers, do_not_hold_up_a_loop_of_ticks_nor_its_end) {
    close_gate(database());
    const std::int64_t slow = enqueue(database(), "gated", 1, 1)[0];
    TickSession loop(conninfo(), "CALL run_job_queue_ticks(2, '100 ms', '4 s')");
    ASSERT_TRUE(wait_for_handlers_at_gate(database(), 1));
    const std::int64_t quick = enqueue(database(), "quick", 1, 1)[0];
    EXPECT_TRUE(ends(quick, "completed")) << "a worker is free";
    EXPECT_TRUE(loop.returns_within(kPatience));
    EXPECT_EQ(status(slow), "locked");
    open_gate(database());
    EXPECT_EQ(loop.error(), "");
    EXPECT_TRUE(ends(slow, "completed"));
    EXPECT_TRUE(ticks_have_ended(database()));
}

TEST_F(LeftHandlers, of_the_load_test_are_in_its_totals_once) {
    query("SELECT seed_load_test_jobs(2, 1)");
    query("UPDATE job_live SET payload = '{\"work_ms\": 8000}' WHERE id = (SELECT min(id) FROM job_live)");
    EXPECT_EQ(run_tick(2, kPatient)["running"], 1);
    ASSERT_TRUE(ticks_have_ended(database()));
    const json stats = json::parse(database().scalar("SELECT get_load_test_metrics()").value());
    EXPECT_EQ(stats["worker_stats"]["total_jobs_claimed"], 2);
    EXPECT_EQ(stats["worker_stats"]["total_jobs_completed"], 2);
    EXPECT_EQ(stats["tenant_distribution"]["tenant-1"], 2);
    query("SELECT clear_load_test_data()");
    EXPECT_EQ(number(database(), "SELECT count(*) FROM campaign_audit_log"), 0);
}

// ------------------------------------------------------------------------------------------ handlers that are gone

class GoneHandlers : public DatabaseTest {
protected:
    static int in_log(const std::string &text) {
        std::ifstream log(shared_cluster().folder() + "/log");
        int lines = 0;
        for (std::string line; std::getline(log, line);)
            lines += line.find(text) != std::string::npos ? 1 : 0;
        return lines;
    }
};

TEST_F(GoneHandlers, are_told_once_in_the_server_log_until_they_are_there_again) {
    const std::string type = "gone_" + database().scalar("SELECT current_database()").value();
    const std::string can_not =
        "handler of job type \"" + type + "\" cannot run: function public.handle(job_queue)";
    database().query("CREATE FUNCTION handle(job job_queue) RETURNS void LANGUAGE sql AS ''");
    database().query("SELECT register_job_handler($1, 'handle(job_queue)')", {type});
    database().query("SELECT run_job_queue_cron()");
    EXPECT_EQ(in_log(can_not), 0);
    for (int times = 1; times <= 2; ++times) {
        database().query("ALTER FUNCTION handle RENAME TO handle_no_more");
        for (int i = 0; i < 3; ++i)
            database().query("SELECT run_job_queue_cron()");
        EXPECT_EQ(in_log(can_not), times);
        database().query("ALTER FUNCTION handle_no_more RENAME TO handle");
        database().query("SELECT run_job_queue_cron()");
    }
}

} // namespace
