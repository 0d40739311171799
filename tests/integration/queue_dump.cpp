// Dump and restore: nothing of a queue is lost, and it goes on working.
#include <cstdlib>
#include <fstream>
#include <functional>
#include <optional>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "queue_checker.hpp"

using namespace fairq::driver;
using namespace fairq::test;

namespace {

/// Every table that holds something of the user's, what distinguishes its rows, and where they are.
constexpr const char *kTables[] = {"job_live",           "(SELECT tableoid::regclass, * FROM job_history)",
                                   "job_leases",         "job_keys",
                                   "job_handlers",       "channel_outbox",
                                   "campaign_audit_log", "load_test_totals",
                                   "pipeline_runs"};

std::string contents(Database &database, const std::string &table) {
    return database
        .scalar(fmt::format("SELECT coalesce(string_agg(t::text, E'\\n' ORDER BY t::text), '') FROM {} AS t",
                            table))
        .value();
}

class Dump : public DatabaseTest {
protected:
    void SetUp() override {
        DatabaseTest::SetUp();
        if (IsSkipped())
            return;
        // Before anything is finished, so that today has its partition.
        database().query("SELECT make_history_partitions()");
        database().query(
            "CREATE FUNCTION handle(job job_queue) RETURNS void LANGUAGE plpgsql AS 'BEGIN END'");
        database().query("SELECT register_job_handler('handled', 'handle(job_queue)')");
        make_jobs_of_all_kinds();
    }

    void make_jobs_of_all_kinds() {
        database().query("SELECT seed_load_test_jobs(20, 4)");
        database().query("SELECT run_job_queue_parallel(2)"); // completed jobs, messages, a tick, totals
        database().query("SELECT enqueue_job('c', 'never', max_attempts => 1)");
        const ClaimedJobs dead = claim(database(), 1);
        ASSERT_EQ(dead.ids.size(), 1u);
        database().query("SELECT fail_job($1, $2, 'on purpose', false)",
                         {std::to_string(dead.ids[0]), dead.lock_token});
        keyed_ = number(
            database(),
            "SELECT enqueue_job('a', 'handled', '{\"x\": [1, null, \"\\u00fc\"]}', idempotency_key => 'k1')");
        database().query(
            "SELECT enqueue_job('b', 'handled', run_at => now() + '1 day', idempotency_key => 'k2')");
        database().query("SELECT cancel_job(enqueue_job('d', 'handled'))");
        database().query(
            "SELECT enqueue_job('r', 'handled', run_id => create_pipeline_run('r', 'nightly'), stage => 2)");
        // A day without a partition.
        database().query(
            "UPDATE job_history SET finished_at = '2020-02-29 12:00+00' WHERE status = 'cancelled'");
        enqueue(database(), "handled", 50, 5);
        held_ = claim(database(), 5);
        ASSERT_EQ(held_.ids.size(), 5u);
    }

    void TearDown() override {
        restored_.reset();
        if (!copy_.empty())
            database().query("DROP DATABASE " + copy_ + " WITH (FORCE)");
        DatabaseTest::TearDown();
    }

    /// pg_dump with this option, then, after what happens in between, the command that restores it.
    void dump_and_restore(
        const std::string &format, const std::string &restore, const std::function<void()> &between = [] {}) {
        copy_ = database().scalar("SELECT current_database()").value() + "_copy";
        database().query("CREATE DATABASE " + copy_);
        const std::string file = folder_.path() + "/dump", target = shared_cluster().conninfo(copy_);
        const std::string programs = find_installation().bin_folder;
        run(fmt::format("'{}/pg_dump' {} -f '{}' -d \"{}\"", programs, format, file, conninfo()));
        between();
        run(fmt::format("'{}/{} -d \"{}\" {} '{}'", programs, restore, target, restore[1] == 's' ? "-f" : "",
                        file));
        restored_.emplace(target, "test");
    }

    void run(const std::string &command) const {
        const std::string output = folder_.path() + "/output";
        const int status = std::system((command + " >'" + output + "' 2>&1").c_str());
        std::ifstream file(output);
        ASSERT_EQ(status, 0) << command << "\n" << std::string(std::istreambuf_iterator<char>(file), {});
    }

    void expect_the_same_contents() {
        for (const char *table : kTables) {
            const std::string before = contents(database(), table);
            EXPECT_NE(before, "") << table << " should have had rows";
            EXPECT_EQ(contents(*restored_, table), before) << table;
        }
        EXPECT_EQ(number(*restored_, "SELECT count(DISTINCT tableoid) FROM job_history"), 2);
        EXPECT_EQ(metrics_are_wrong(*restored_), "");
    }

    void expect_that_it_goes_on() {
        Database &database = *restored_;
        // Sequences go on behind the highest number.
        const std::int64_t highest = number(database, "SELECT max(id) FROM job_queue");
        EXPECT_GT(number(database, "SELECT enqueue_job('z', 'handled')"), highest);
        EXPECT_GT(number(database,
                         "INSERT INTO channel_outbox (tenant_id, channel) VALUES ('z', 'x') RETURNING id"),
                  number(database, "SELECT max(id) FROM channel_outbox"));
        EXPECT_GT(number(database, "SELECT create_pipeline_run('r', 'next')"), 1);
        EXPECT_EQ(number(database, "SELECT enqueue_job('a', 'handled', idempotency_key => 'k1')"), keyed_);
        // The worker goes on with its lease, ticks with the handler that was registered.
        EXPECT_EQ(complete(database, held_.ids, held_.lock_token).size(), 5u);
        EXPECT_EQ(number(database, "SELECT redrive_dead_jobs()"), 1);
        EXPECT_EQ(number(database, "SELECT (run_job_queue_parallel(2) ->> 'completed')::integer"), 47);
        EXPECT_EQ(jobs_with_status(database, "queued"), 1) << "of a type without a handler";
        EXPECT_EQ(number(database, "SELECT make_history_partitions(5)"), 2);
    }

    TemporaryFolder folder_;
    std::string copy_;
    std::optional<Database> restored_;
    std::int64_t keyed_ = 0;
    ClaimedJobs held_;
};

TEST_F(Dump, as_a_script_keeps_everything_and_the_restored_queue_goes_on) {
    ASSERT_NO_FATAL_FAILURE(dump_and_restore("-Fp", "psql' -v ON_ERROR_STOP=1 -qX"));
    expect_the_same_contents();
    expect_that_it_goes_on();
}

TEST_F(Dump, in_custom_format_keeps_everything_and_the_restored_queue_goes_on) {
    ASSERT_NO_FATAL_FAILURE(dump_and_restore("-Fc", "pg_restore' --exit-on-error"));
    expect_the_same_contents();
    expect_that_it_goes_on();
}

/// A role that has registered a handler, and afterwards a superuser of the same name.
class HandlerOfRole : public Dump {
protected:
    void SetUp() override {
        Dump::SetUp();
        if (IsSkipped())
            return;
        role_ = database().scalar("SELECT current_database() || '_ann'").value();
        query("CREATE ROLE {0}; GRANT EXECUTE ON FUNCTION register_job_handler TO {0}; SET ROLE {0};");
        query("SELECT register_job_handler('hers', 'handle(job_queue)'); RESET ROLE;");
    }

    void put_superuser_in_place() { query("DROP OWNED BY {0}; DROP ROLE {0}; CREATE ROLE {0} SUPERUSER;"); }

    std::int64_t handlers_of_superuser() {
        return number(*restored_,
                      fmt::format("SELECT count(*) FROM job_handlers WHERE run_as = '{}'::regrole", role_));
    }

    std::string why_not() {
        return restored_
            ->scalar("SELECT why_not_running(enqueue_job('n', 'hers', priority => -1)) ->> 'reason'")
            .value();
    }

    void query(const std::string &statement) {
        database().query(fmt::format(fmt::runtime(statement), role_));
    }

    std::string role_;
};

TEST_F(HandlerOfRole, that_was_dropped_after_the_dump_is_not_restored_to_a_new_role_of_its_name) {
    ASSERT_NO_FATAL_FAILURE(
        dump_and_restore("-Fc", "pg_restore' --exit-on-error", [this] { put_superuser_in_place(); }));
    EXPECT_EQ(handlers_of_superuser(), 0);
    EXPECT_EQ(why_not(), "no_handler");
}

TEST_F(HandlerOfRole, that_was_dropped_before_the_dump_is_not_in_it) {
    put_superuser_in_place();
    ASSERT_NO_FATAL_FAILURE(dump_and_restore("-Fp", "psql' -v ON_ERROR_STOP=1 -qX"));
    EXPECT_EQ(handlers_of_superuser(), 0);
    EXPECT_EQ(number(*restored_, "SELECT count(*) FROM job_handlers WHERE job_type = 'hers'"), 0);
}

TEST_F(HandlerOfRole, that_is_still_there_gets_it_back) {
    ASSERT_NO_FATAL_FAILURE(dump_and_restore("-Fc", "pg_restore' --exit-on-error"));
    EXPECT_EQ(handlers_of_superuser(), 1);
    EXPECT_EQ(why_not(), "waiting");
}

} // namespace
