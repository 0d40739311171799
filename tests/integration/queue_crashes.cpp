// A backend is killed, or the server stopped, in the middle of each step of a job's life: what was not
// committed has left no trace, what was is all there, and everything that the queue counts agrees with its
// jobs. Then the work goes on, and every job is done once.
#include <csignal>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "queue_checker.hpp"
#include "queue_consistency.hpp"
#include "server_test.hpp"

using namespace fairq::driver;
using namespace fairq::test;

namespace {

using Findings = std::vector<std::string>;

struct Step {
    const char *name;
    const char *statement; // each on other jobs, so that all can be under way at once
};

/// The holder of a lease is named after the step that needs it.
constexpr Step kSteps[] = {
    {"enqueue", "SELECT FROM enqueue_jobs(ARRAY['capped', 'keyed', 'plain'], 'late', idempotency_keys => "
                "ARRAY['x', 'y', NULL], "
                "concurrency_keys => ARRAY[NULL, 'k0', NULL])"},
    {"claim", "SELECT FROM claim_queued_jobs('claim', 6)"},
    {"complete", "SELECT FROM job_leases, complete_jobs(job_ids, lock_token) WHERE worker_id = 'complete'"},
    {"fail", "SELECT count(fail_job(id, lock_token, 'no', false)) FROM job_live WHERE locked_by = 'fail'"},
    {"back-off", "SELECT count(fail_job(id, lock_token, 'no')) FROM job_live WHERE locked_by = 'back-off'"},
    {"release", "SELECT release_jobs(job_ids, lock_token) FROM job_leases WHERE worker_id = 'release'"},
    {"reclaim", "SELECT reclaim_stuck_jobs('30 minutes')"},
    {"heartbeat", "SELECT heartbeat_jobs(lock_token) FROM job_leases WHERE worker_id = 'heartbeat'"},
    {"cancel", "SELECT count(cancel_job(id)) FROM job_live WHERE locked_by = 'cancel'"},
};

class Crash : public ServerTest {
protected:
    std::map<std::string, std::string> settings() const override {
        return {{"fairq.lease_timeout", "1h"}, {"fairq.backoff_base", "1ms"}, {"fairq.backoff_max", "1ms"}};
    }

    /// Jobs of every kind: capped and counted, with busy keys, plain; leases for every step, one of them
    /// stale.
    void SetUp() override {
        ServerTest::SetUp();
        if (IsSkipped())
            return;
        database().query("SELECT set_tenant_limits('capped', max_concurrency => 12, max_pending => 1000, "
                         "rate_per_second => 1000, burst => 1000)");
        enqueue_some("capped", "NULL");
        enqueue_some("keyed", "ARRAY(SELECT 'k' || n % 5 FROM generate_series(1, 40) AS n)");
        enqueue_some("plain", "NULL");
        for (const Step &step : kSteps)
            if (std::string(step.name) != "enqueue" && std::string(step.name) != "claim")
                lease_for(step.name);
        database().query(
            "UPDATE job_leases SET locked_at = locked_at - interval '35 minutes', heartbeat_at = "
            "heartbeat_at - interval '35 minutes' WHERE worker_id = 'reclaim'");
        ASSERT_EQ(contradictions(database()), Findings{});
        ASSERT_GT(number(database(), "SELECT count(parked_position) FROM job_live"), 0);
    }

    void enqueue_some(const std::string &tenant, const std::string &keys) {
        database().query(fmt::format(
            "SELECT enqueue_jobs(array_fill('{}'::text, ARRAY[40]), 'early', concurrency_keys => {}, "
            "idempotency_keys => ARRAY(SELECT 'i' || n FROM generate_series(1, 40) AS n))",
            tenant, keys));
    }

    void lease_for(const std::string &step) {
        ASSERT_EQ(number(database(), "SELECT count(*) FROM claim_queued_jobs('" + step + "', 4)"), 4);
    }

    static bool answers(Database &database) {
        try {
            return database.scalar("SELECT 1") == "1";
        } catch (const DatabaseError &) {
            return false;
        }
    }

    /// SIGKILL, as the kernel does it to whom it picks when memory runs out. All sessions end, shared memory
    /// is new.
    void kill_backend(Database &victim) {
        database().query("SELECT 1"); // a session of ours, to see when the server ends all of them
        ASSERT_EQ(kill(static_cast<pid_t>(victim.backend_pid()), SIGKILL), 0);
        ASSERT_TRUE(eventually(Milliseconds(20'000), [&] { return !answers(database()); }));
        ASSERT_TRUE(server_answers());
    }

    /// What is locked is given back, and all is done; by the tables, each job once.
    void expect_that_the_rest_is_done() {
        database().query("SELECT release_jobs(job_ids, lock_token) FROM job_leases");
        EXPECT_TRUE(eventually(Milliseconds(20'000), [&] {
            const ClaimedJobs jobs = claim(database(), 50);
            if (!jobs.ids.empty())
                complete(database(), jobs.ids, jobs.lock_token);
            return number(database(), "SELECT count(*) FROM job_live") == 0;
        }));
        EXPECT_EQ(contradictions(database()), Findings{});
        // A lease whose jobs ended one by one is removed by the housekeeping.
        EXPECT_EQ(number(database(), "SELECT reclaim_stuck_jobs('1 microsecond')"), 0);
        EXPECT_EQ(number(database(), "SELECT count(*) FROM job_leases"), 0);
        EXPECT_EQ(number(database(), "SELECT count(DISTINCT id) FROM job_history WHERE job_type = 'early'"),
                  120);
        EXPECT_EQ(number(database(), "SELECT count(*) - count(DISTINCT id) FROM job_history"), 0);
    }
};

TEST_F(Crash, in_the_middle_of_any_step_leaves_no_trace_of_it) {
    for (const Step &step : kSteps) {
        SCOPED_TRACE(step.name);
        const std::string before = all_rows(database());
        Database victim(conninfo(), "victim");
        victim.query("BEGIN");
        victim.query(step.statement);
        ASSERT_NE(all_rows(victim), before) << "the step did something";
        ASSERT_NO_FATAL_FAILURE(kill_backend(victim));
        EXPECT_EQ(all_rows(database()), before);
        EXPECT_EQ(contradictions(database()), Findings{});
    }
    expect_that_the_rest_is_done();
}

TEST_F(Crash, after_the_commit_of_any_step_keeps_all_of_it) {
    for (const Step &step : kSteps) {
        SCOPED_TRACE(step.name);
        const std::string before = all_rows(database());
        Database victim(conninfo(), "victim");
        victim.query(step.statement);
        const std::string after = all_rows(database());
        ASSERT_NE(after, before) << "the step did something";
        EXPECT_EQ(contradictions(database()), Findings{}) << "before the crash";
        ASSERT_NO_FATAL_FAILURE(kill_backend(victim));
        EXPECT_EQ(all_rows(database()), after);
        EXPECT_EQ(contradictions(database()), Findings{});
    }
    EXPECT_EQ(number(database(), "SELECT count(*) FROM job_history WHERE status = 'dead'"), 4);
    EXPECT_EQ(number(database(), "SELECT count(*) FROM job_history WHERE status = 'cancelled'"), 4);
    expect_that_the_rest_is_done();
}

TEST_F(Crash, of_the_server_with_all_steps_under_way_leaves_no_trace_of_them) {
    const std::string before = all_rows(database());
    std::vector<std::unique_ptr<Database>> sessions;
    for (const Step &step : kSteps) {
        sessions.push_back(std::make_unique<Database>(conninfo(), step.name));
        sessions.back()->query("BEGIN");
        sessions.back()->query("SET LOCAL lock_timeout = '10s'");
        sessions.back()->query(step.statement);
    }
    ASSERT_TRUE(restart_server());
    EXPECT_EQ(all_rows(database()), before);
    EXPECT_EQ(contradictions(database()), Findings{});
    expect_that_the_rest_is_done();
}

TEST_F(Crash, has_a_checker_that_sees_what_does_not_agree) {
    const std::pair<const char *, const char *> damages[] = {
        {"DELETE FROM job_leases WHERE worker_id = 'fail'", "locked jobs without a lease"},
        {"UPDATE job_live SET running_since = NULL, position = coalesce(position, running_position), "
         "running_position = NULL",
         "running jobs that do not count for their tenant's cap"},
        {"UPDATE tenant_limits SET max_concurrency = 1", "tenants above their cap"},
        {"UPDATE job_live SET concurrency_key = 'other', held_key = NULL, status = 'queued', lock_token = "
         "NULL "
         "WHERE held_key IS NOT NULL",
         "parked jobs of a key that is free"},
        {"DELETE FROM job_live WHERE id = (SELECT min(id) FROM job_live WHERE status = 'queued')",
         "idempotency keys without a job"},
        {"DELETE FROM job_keys WHERE idempotency_key = 'i7'", "jobs whose idempotency key is not stored"},
        {"INSERT INTO tenant_pending VALUES ('capped', 1)", "tenants whose waiting jobs are counted wrongly"},
        {"DELETE FROM job_live WHERE tenant_id = 'plain' AND status = 'queued'", "counts of the metrics"},
    };
    for (const auto &[damage, sentence] : damages) {
        database().query("BEGIN");
        database().query(damage);
        std::string found;
        for (const std::string &one : contradictions(database()))
            found += one + "\n";
        EXPECT_NE(found.find(sentence), std::string::npos) << damage << " was not seen:\n" << found;
        database().query("ROLLBACK");
    }
    EXPECT_EQ(contradictions(database()), Findings{});
}

} // namespace
