// Ticks from roles that may do little, and from callers that hold what the workers need.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "queue_checker.hpp"

using namespace fairq::driver;
using namespace fairq::test;

namespace {

/// The SQLSTATE of a statement; empty when it succeeds.
std::string sqlstate_of(Database &database, const std::string &sql) {
    try {
        database.query(sql);
        return "";
    } catch (const DatabaseError &error) {
        return error.sqlstate();
    }
}

std::string error_of(Database &database, const std::string &sql) {
    try {
        database.query(sql);
        return "no error";
    } catch (const DatabaseError &error) {
        return error.what();
    }
}

std::string as_role(const std::string &conninfo, const std::string &role) {
    return conninfo + " user=" + role; // the last one counts
}

/// Roles that exist for one test: they are the cluster's, not the database's.
class Roles : public DatabaseTest {
protected:
    void SetUp() override {
        DatabaseTest::SetUp();
        if (IsSkipped())
            return;
        for (const char *sql :
             {"CREATE ROLE queue_ticker LOGIN", "CREATE ROLE queue_nobody LOGIN",
              "GRANT EXECUTE ON FUNCTION run_job_queue_parallel, run_job_queue_cron, register_job_handler, "
              "get_queue_metrics TO queue_ticker",
              "GRANT EXECUTE ON PROCEDURE run_job_queue_ticks TO queue_ticker",
              "GRANT CREATE ON SCHEMA public TO queue_ticker"})
            database().query(sql);
    }

    void TearDown() override {
        for (const char *role : {"queue_ticker", "queue_nobody"})
            if (!IsSkipped())
                database().query(fmt::format("DROP OWNED BY {0} CASCADE; DROP ROLE {0}", role));
        DatabaseTest::TearDown();
    }
};

TEST_F(Roles, a_role_without_other_rights_ticks_from_a_connection_and_its_handler_runs_as_itself) {
    Database ticker(as_role(conninfo(), "queue_ticker"), "test");
    ticker.query("CREATE TABLE seen (id bigint, role text)");
    ticker.query("CREATE FUNCTION see(job job_queue) RETURNS void LANGUAGE plpgsql AS $$ "
                 "BEGIN INSERT INTO public.seen VALUES (job.id, current_user); END $$");
    ticker.query("SELECT register_job_handler('seen', 'see(job_queue)')");
    enqueue(database(), "seen", 10, 2);
    EXPECT_EQ(number(ticker, "SELECT (run_job_queue_parallel(2) ->> 'completed')::integer"), 10);
    EXPECT_EQ(number(ticker, "SELECT count(DISTINCT id) FROM seen WHERE role = 'queue_ticker'"), 10);
    EXPECT_EQ(jobs_with_status(database(), "completed"), 10);
}

TEST_F(Roles, a_role_without_other_rights_drives_the_load_test_and_the_loop_of_ticks) {
    database().query("SELECT seed_load_test_jobs(20, 4)");
    Database ticker(as_role(conninfo(), "queue_ticker"), "test");
    ticker.query("CALL run_job_queue_ticks(2, '100 milliseconds', '3 seconds')");
    EXPECT_EQ(jobs_with_status(database(), "completed"), 20);
    EXPECT_EQ(number(database(), "SELECT count(*) FROM channel_outbox"), 20);
}

TEST_F(Roles, a_tick_leaves_jobs_alone_whose_handler_belongs_to_a_role_that_it_may_not_become) {
    database().query("CREATE FUNCTION secret(job job_queue) RETURNS void LANGUAGE plpgsql AS 'BEGIN END'");
    database().query("SELECT register_job_handler('secret', 'secret(job_queue)')");
    enqueue(database(), "secret", 3, 1);
    Database ticker(as_role(conninfo(), "queue_ticker"), "test");
    EXPECT_EQ(number(ticker, "SELECT (run_job_queue_cron() ->> 'claimed')::integer"), 0);
    EXPECT_EQ(jobs_with_status(database(), "queued"), 3);
    EXPECT_EQ(number(database(), "SELECT (run_job_queue_cron() ->> 'completed')::integer"), 3);
}

TEST_F(Roles, a_role_that_was_granted_nothing_can_neither_tick_nor_read_a_job) {
    enqueue(database(), "secret", 1, 1);
    Database nobody(as_role(conninfo(), "queue_nobody"), "test");
    for (const char *sql :
         {"SELECT run_job_queue_parallel(1)", "SELECT run_job_queue_cron()", "CALL run_job_queue_ticks()",
          "SELECT claim_queued_jobs('x')", "SELECT enqueue_job('a', 'b')", "SELECT count(*) FROM job_queue",
          "SELECT count(*) FROM job_live", "SELECT count(*) FROM job_history", "SELECT get_queue_metrics()"})
        EXPECT_NE(error_of(nobody, sql).find("permission denied"), std::string::npos) << sql;
}

// ------------------------------------------------------------------------------------------ callers that
// hold a lock

class Callers : public DatabaseTest {
protected:
    void SetUp() override {
        DatabaseTest::SetUp();
        if (IsSkipped())
            return;
        database().query("SELECT seed_load_test_jobs(4, 2)");
        // Should a tick wait for its caller after all, this ends it: with another code than ours.
        database().query("SET statement_timeout = '60s'");
    }
};

TEST_F(Callers, that_hold_a_lock_which_the_workers_need_get_an_error_and_do_not_wait_for_ever) {
    database().query("BEGIN");
    database().query("LOCK TABLE job_live IN SHARE MODE");
    EXPECT_EQ(sqlstate_of(database(), "SELECT run_job_queue_parallel(2)"), "55P03");
    database().query("ROLLBACK");
    ASSERT_TRUE(ticks_have_ended(database()));
    EXPECT_EQ(jobs_with_status(database(), "queued"), 4);
    EXPECT_EQ(number(database(), "SELECT (run_job_queue_parallel(2) ->> 'completed')::integer"), 4);
}

TEST_F(Callers, that_have_written_something_are_refused) {
    for (const char *write :
         {"LOCK TABLE job_live", "CREATE TEMPORARY TABLE written ()", "SELECT enqueue_job('a', 'b')"}) {
        database().query("BEGIN");
        database().query(write);
        EXPECT_EQ(sqlstate_of(database(), "SELECT run_job_queue_parallel(2)"), "25001") << write;
        database().query("ROLLBACK");
    }
    EXPECT_EQ(number(database(), "SELECT (run_job_queue_parallel(2) ->> 'completed')::integer"), 4);
}

TEST_F(Callers, that_hold_a_lock_which_a_handler_needs_fail_that_job_after_the_handlers_lock_timeout) {
    database().query("SET lock_timeout = '100ms'");
    database().query("CREATE TABLE needed (n integer)");
    database().query(
        "CREATE FUNCTION need(job job_queue) RETURNS void LANGUAGE plpgsql SET lock_timeout = '100ms' AS $$ "
        "BEGIN INSERT INTO public.needed VALUES (1); END $$");
    database().query("SELECT register_job_handler('needy', 'need(job_queue)')");
    enqueue(database(), "needy", 1, 1);
    database().query("BEGIN");
    database().query("LOCK TABLE needed IN SHARE MODE");
    EXPECT_EQ(number(database(), "SELECT (run_job_queue_parallel(2) ->> 'failed')::integer"), 1);
    database().query("ROLLBACK");
    EXPECT_EQ(
        number(
            database(),
            "SELECT count(*) FROM job_live WHERE status = 'scheduled' AND last_error LIKE '%lock timeout%'"),
        1);
}

} // namespace
