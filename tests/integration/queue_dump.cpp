// Dump and restore, whichever way: nothing of a queue is lost, and it goes on working.
#include <cstdlib>
#include <fstream>
#include <optional>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "queue_checker.hpp"

using namespace fairq::driver;
using namespace fairq::test;

namespace {

/// Every table that holds something of the user's, what distinguishes its rows, and where they are.
constexpr const char *kTables[] = {"job_live",       "(SELECT tableoid::regclass, * FROM job_history)",
                                   "job_leases",     "job_keys",
                                   "job_handlers",   "channel_outbox",
                                   "pipeline_runs",  "campaign_audit_log",
                                   "tenant_limits",  "tenant_rates",
                                   "tenant_pending", "paused_job_types",
                                   "queue_access",   "load_test_totals"};

std::string contents(Database &database, const std::string &table) {
    return database
        .scalar(fmt::format("SELECT coalesce(string_agg(t::text, E'\\n' ORDER BY t::text), '') FROM {} AS t",
                            table))
        .value();
}

/// The role that a dump has grants of; the server of all tests gets it once.
constexpr const char *kMakeRole =
    "DO $$ BEGIN CREATE ROLE regress_shop; EXCEPTION WHEN duplicate_object THEN END $$";

class Dump : public DatabaseTest {
protected:
    void SetUp() override {
        DatabaseTest::SetUp();
        if (IsSkipped())
            return;
        database().query(fmt::format("SET search_path = \"{}\"", schema()));
        database().query(kMakeRole);
        database().query(
            "CREATE FUNCTION handle(job job_queue) RETURNS void LANGUAGE plpgsql AS 'BEGIN END'");
        database().query("SELECT register_job_handler('handled', 'handle(job_queue)')");
        make_jobs_of_all_kinds();
    }

    void make_jobs_of_all_kinds() {
        database().query(
            "SELECT set_tenant_limits('limited', weight => 3, max_concurrency => 2, rate_per_second => 1, "
            "max_pending => 5)");
        database().query("SELECT enqueue_jobs(ARRAY['limited', 'limited'], 'paused')");
        database().query("SELECT count(*) FROM claim_queued_jobs('of the rate', 1)");
        database().query(
            "SELECT pause_job_type('paused'), grant_queue_access('regress_shop', 'producer', 'a')");
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

    void make_copy(const std::string &first_statement = "") {
        copy_ = database().scalar("SELECT current_database()").value() + "_copy";
        database().query("CREATE DATABASE " + copy_);
        restored_.emplace(shared_cluster().conninfo(copy_), "test");
        if (!first_statement.empty())
            restored_->query(first_statement);
        restored_->query(fmt::format("SET search_path = \"{}\"", schema()));
    }

    std::string dump_file() const { return folder_.path() + "/dump"; }

    /// pg_dump with these options, into dump_file().
    void dump(const std::string &options) const {
        run(fmt::format("pg_dump {} -f '{}' -d \"{} {}\"", options, dump_file(), conninfo(), dumper_));
    }
    /// This command (psql or pg_restore) restores it into the copy.
    void restore(const std::string &command) const {
        run(fmt::format("{} -d \"{} {}\" {} '{}'", command, shared_cluster().conninfo(copy_), restorer_,
                        command[1] == 's' ? "-f" : "", dump_file()));
    }

    void dump_and_restore(const std::string &dump_options, const std::string &restore_command,
                          const std::string &first_statement = "") {
        ASSERT_NO_FATAL_FAILURE(dump(dump_options));
        make_copy(first_statement);
        ASSERT_NO_FATAL_FAILURE(restore(restore_command));
    }

    /// One of PostgreSQL's programs.
    void run(const std::string &command) const {
        const std::string output = folder_.path() + "/output";
        const int status = std::system(fmt::format("'{}/{}' {} >'{}' 2>&1", find_installation().bin_folder,
                                                   command.substr(0, command.find(' ')),
                                                   command.substr(command.find(' ') + 1), output)
                                           .c_str());
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
        if (schema() == "public") {
            EXPECT_EQ(metrics_are_wrong(*restored_), "");
        }
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
        EXPECT_EQ(jobs_with_status(database, "queued"), 2) << "of types that are paused or have no handler";
        EXPECT_GE(number(database, "SELECT make_history_partitions(5)"), 2)
            << "and of the day in the default partition";
        EXPECT_EQ(number(database, "SELECT count(*) FROM job_history_default"), 0);
    }

    TemporaryFolder folder_;
    std::string copy_;
    std::string dumper_, restorer_; // in a conninfo, where it is not the superuser
    std::optional<Database> restored_;
    std::int64_t keyed_ = 0;
    ClaimedJobs held_;
};

constexpr const char *kScript = "psql -v ON_ERROR_STOP=1 -qX";
constexpr const char *kRestore = "pg_restore --exit-on-error";

TEST_F(Dump, as_a_script_keeps_everything_and_the_restored_queue_goes_on) {
    ASSERT_NO_FATAL_FAILURE(dump_and_restore("-Fp", kScript));
    expect_the_same_contents();
    expect_that_it_goes_on();
}

TEST_F(Dump, in_custom_format_keeps_everything_and_the_restored_queue_goes_on) {
    ASSERT_NO_FATAL_FAILURE(dump_and_restore("-Fc", kRestore));
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
    ASSERT_NO_FATAL_FAILURE(dump("-Fc"));
    put_superuser_in_place();
    make_copy();
    ASSERT_NO_FATAL_FAILURE(restore(kRestore));
    EXPECT_EQ(handlers_of_superuser(), 0);
    EXPECT_EQ(why_not(), "no_handler");
}

TEST_F(HandlerOfRole, that_was_dropped_before_the_dump_is_not_in_it) {
    put_superuser_in_place();
    ASSERT_NO_FATAL_FAILURE(dump_and_restore("-Fp", kScript));
    EXPECT_EQ(handlers_of_superuser(), 0);
    EXPECT_EQ(number(*restored_, "SELECT count(*) FROM job_handlers WHERE job_type = 'hers'"), 0);
}

TEST_F(HandlerOfRole, that_is_still_there_gets_it_back) {
    ASSERT_NO_FATAL_FAILURE(dump_and_restore("-Fc", kRestore));
    EXPECT_EQ(handlers_of_superuser(), 1);
    EXPECT_EQ(why_not(), "waiting");
}

TEST_F(Dump, by_several_processes_keeps_everything) {
    ASSERT_NO_FATAL_FAILURE(dump_and_restore("-Fd -j 3", std::string(kRestore) + " -j 3"));
    expect_the_same_contents();
    expect_that_it_goes_on();
}

TEST_F(Dump, of_one_schema_with_the_extension_keeps_everything) {
    // pg_dump -n has a CREATE SCHEMA, for public too.
    ASSERT_NO_FATAL_FAILURE(dump_and_restore("-Fc -n public -e fairq", kRestore, "DROP SCHEMA public"));
    expect_the_same_contents();
    expect_that_it_goes_on();
}

TEST_F(Dump, of_one_schema_goes_into_a_database_that_has_the_extension_without_partitions) {
    ASSERT_NO_FATAL_FAILURE(dump("-Fc -n public"));
    make_copy("SET row_security = off; CREATE EXTENSION fairq SCHEMA public");
    ASSERT_NO_FATAL_FAILURE(restore(std::string(kRestore) + " -n public"));
    expect_the_same_contents();
    expect_that_it_goes_on();
}

TEST_F(Dump, of_a_table_has_its_rows) {
    for (const char *table : {"job_live", "job_history", "job_history_default", "queue_access", "'job_*'"})
        ASSERT_NO_FATAL_FAILURE(dump(fmt::format("-t {}", table))) << table;
    ASSERT_NO_FATAL_FAILURE(dump("-t job_live"));
    const std::string count = fmt::format("grep -q handled '{}'", dump_file());
    EXPECT_EQ(std::system(count.c_str()), 0) << "jobs of type handled";
}

TEST_F(Dump, of_the_schema_only_gives_an_empty_queue_that_works) {
    ASSERT_NO_FATAL_FAILURE(dump_and_restore("-Fc -s", kRestore));
    EXPECT_EQ(number(*restored_, "SELECT count(*) FROM job_queue"), 0);
    EXPECT_GT(number(*restored_, "SELECT enqueue_job('a', 'mail')"), 0);
    const ClaimedJobs claimed = claim(*restored_, 1);
    EXPECT_EQ(complete(*restored_, claimed.ids, claimed.lock_token).size(), 1u);
    EXPECT_EQ(number(*restored_, "SELECT count(*) FROM job_history_default"), 0) << "today has its partition";
}

// Rows go through the parent, because the partitions there need not be those of the dump.
TEST_F(Dump, of_the_data_only_goes_into_a_new_installation) {
    ASSERT_NO_FATAL_FAILURE(dump("-Fc -a --load-via-partition-root -T sent"));
    make_copy("CREATE EXTENSION fairq SCHEMA public");
    ASSERT_NO_FATAL_FAILURE(restore(kRestore));
    expect_the_same_contents();
}

TEST_F(Dump, without_any_partition_can_be_worked_with) {
    ASSERT_NO_FATAL_FAILURE(dump("-Fc -e fairq -t job_live -t job_live_id_seq"));
    make_copy();
    ASSERT_NO_FATAL_FAILURE(restore(kRestore));
    EXPECT_EQ(
        number(*restored_, "SELECT count(*) FROM pg_inherits WHERE inhparent = 'job_history'::regclass"), 0);
    EXPECT_EQ(complete(*restored_, held_.ids, held_.lock_token).size(), 5u);
    EXPECT_EQ(number(*restored_, "SELECT count(*) FROM job_history"), 5);
}

TEST_F(Dump, by_and_for_other_roles_keeps_everything) {
    database().query(
        "DO $$ BEGIN CREATE ROLE regress_dumper LOGIN IN ROLE pg_read_all_data; "
        "CREATE ROLE regress_restorer LOGIN SUPERUSER; EXCEPTION WHEN duplicate_object THEN END $$");
    dumper_ = "user=regress_dumper";
    restorer_ = "user=regress_restorer";
    ASSERT_NO_FATAL_FAILURE(dump_and_restore("-Fc", std::string(kRestore) + " --no-owner"));
    expect_the_same_contents();
    EXPECT_EQ(
        restored_->scalar(
            "SELECT string_agg(DISTINCT relowner::regrole::text, ' ') FROM pg_class WHERE relname ~ '^job_'"),
        "regress_restorer");
    expect_that_it_goes_on();
}

/// A number that a dropped role has left, and what a role of that number may do in the restored database.
TEST_F(Dump, has_no_grant_of_a_role_that_was_dropped) {
    database().query("CREATE ROLE regress_gone");
    database().query("SELECT grant_queue_access('regress_gone', 'worker', 'd')");
    database().query("DROP OWNED BY regress_gone; DROP ROLE regress_gone");
    EXPECT_EQ(number(database(), "SELECT count(*) FROM queue_access"), 2)
        << "the row of the dropped role is still there";
    ASSERT_NO_FATAL_FAILURE(dump_and_restore("-Fc", kRestore));
    EXPECT_EQ(restored_->scalar("SELECT string_agg(role::text, ' ') FROM queue_access"), "regress_shop");
}

/// The transaction behind which a cap counts is one of another cluster.
TEST_F(Dump, with_a_cap_that_was_not_in_force_yet_settles_after_the_restore) {
    database().query("UPDATE tenant_limits SET cap_pending_since = '9999999999999'");
    ASSERT_NO_FATAL_FAILURE(dump_and_restore("-Fc", kRestore));
    restored_->query("UPDATE tenant_limits SET rate_per_second = NULL, burst = NULL");
    restored_->query("SELECT resume_job_type('paused')");
    for (int i = 0; i < 3; ++i)
        claim(*restored_, 10);
    EXPECT_EQ(number(*restored_, "SELECT count(*) FROM tenant_limits WHERE cap_pending_since IS NOT NULL"),
              0);
    EXPECT_EQ(
        number(*restored_,
               "SELECT count(*) FROM job_live WHERE tenant_id = 'limited' AND running_since IS NOT NULL"),
        2);
}

class DumpOfAnotherSchema : public Dump {
protected:
    std::string schema() const override { return "My Queue"; }
};

TEST_F(DumpOfAnotherSchema, keeps_everything) {
    ASSERT_NO_FATAL_FAILURE(dump_and_restore("-Fc", kRestore));
    expect_the_same_contents();
    expect_that_it_goes_on();
}

TEST_F(DumpOfAnotherSchema, of_that_schema_alone_keeps_everything) {
    ASSERT_NO_FATAL_FAILURE(dump_and_restore("-Fp -n '\"My Queue\"' -e fairq", kScript));
    expect_the_same_contents();
    expect_that_it_goes_on();
}

TEST_F(DumpOfAnotherSchema, of_the_data_goes_into_a_third_schema) {
    ASSERT_NO_FATAL_FAILURE(dump("-Fp -a --load-via-partition-root"));
    const std::string rename = fmt::format(
        "sed -i 's/^\\(COPY \\|SELECT .*\\)\"My Queue\"\\./\\1public./; s/\\tMy Queue\\t/\\tpublic\\t/' '{}'",
        dump_file());
    ASSERT_EQ(std::system(rename.c_str()), 0);
    make_copy("CREATE EXTENSION fairq SCHEMA public");
    restored_->query("SET search_path = public");
    ASSERT_NO_FATAL_FAILURE(restore(kScript));
    EXPECT_EQ(number(*restored_, "SELECT count(*) FROM job_queue"),
              number(database(), "SELECT count(*) FROM job_queue"));
    EXPECT_EQ(complete(*restored_, held_.ids, held_.lock_token).size(), 5u);
}

} // namespace
