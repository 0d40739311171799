// On somebody's database: what is refused and why, what is cleared, and a server that restarts in mid-run.
#include <csignal>
#include <thread>

#include "db/run_lock.hpp"
#include "errors.hpp"
#include "report/report.hpp"
#include "test_cluster.hpp"

using namespace fairq::driver;
using namespace fairq::test;

namespace {

std::string refusal(const std::function<void()> &run) {
    try {
        run();
        return "not refused";
    } catch (const SetupError &error) {
        return error.what();
    }
}

class Connection : public DatabaseTest {
protected:
    engine::RunResult run_with(engine::RunSettings settings) {
        static const plan::Plan plan = test_plan("small", "sound");
        settings.conninfo = conninfo();
        engine::Progress progress(engine::Progress::Mode::quiet, Milliseconds(1000));
        return engine::run_plan(plan, settings, progress);
    }

    std::string jobs() { return database().scalar("SELECT count(*) FROM job_queue").value_or("?"); }
};

class WithoutExtension : public DatabaseTest {
protected:
    std::string schema() const override { return ""; }
};

} // namespace

TEST_F(WithoutExtension, a_database_without_the_extension_is_refused_with_what_to_do) {
    EXPECT_NE(refusal([&] { this->run("small", "sound"); }).find("run CREATE EXTENSION fairq in it"),
              std::string::npos);
}

TEST(Unreachable, a_server_that_is_not_there_is_refused) {
    const plan::Plan plan = test_plan("small");
    EXPECT_NE(
        refusal([&] { run_quietly(plan, "host=/nonexistent dbname=x"); }).find("cannot use the database"),
        std::string::npos);
}

TEST_F(Connection, a_plan_with_cron_workers_needs_pg_cron_in_the_database) {
    const plan::Plan plan = test_plan("minute");
    EXPECT_NE(refusal([&] { run_quietly(plan, conninfo()); }).find("CREATE EXTENSION pg_cron"),
              std::string::npos);
}

TEST_F(Connection, load_test_jobs_that_are_there_are_refused_and_left_alone_whatever_is_asked) {
    database().query("SELECT seed_load_test_jobs(3, 1)");
    engine::RunSettings settings;
    settings.yes = true;
    EXPECT_NE(refusal([&] { run_with(settings); }).find("fairq cleanup takes them away"), std::string::npos);
    EXPECT_EQ(jobs(), "3");
}

TEST_F(Connection, another_version_of_the_extension_is_refused_with_what_to_do) {
    database().query("UPDATE pg_extension SET extversion = '9.9' WHERE extname = 'fairq'");
    EXPECT_NE(
        refusal([&] { run_with({}); }).find("this database has fairq 9.9, and this driver belongs to fairq "),
        std::string::npos);
}

TEST_F(Connection, a_second_run_is_refused_while_one_goes_on) {
    db::RunLock lock(conninfo(), "abc123");
    lock.take();
    const std::string why = refusal([&] { run_with({}); });
    EXPECT_NE(why.find("another run goes on in this database (fairq run abc123, since "), std::string::npos)
        << why;
    EXPECT_EQ(database().scalar("SELECT to_regclass('fairq_driver.runs')"), db::Cell());
}

TEST_F(Connection, a_run_whose_lock_somebody_took_meanwhile_does_not_go_on) {
    db::RunLock first(conninfo(), "abc123"), second(conninfo(), "def456");
    first.take();
    first.keep();
    database().query(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'fairq run abc123'");
    ASSERT_TRUE(
        eventually(Milliseconds(10'000), [&] { return refusal([&] { second.take(); }) == "not refused"; }));
    EXPECT_THROW(first.keep(), db::DatabaseError); // the lost connection
    EXPECT_NE(refusal([&] { first.keep(); }).find("fairq run def456"), std::string::npos);
}

TEST_F(Connection, workers_of_somebody_else_are_refused_because_they_would_get_the_load) {
    db::Database worker(conninfo(), "of a shop");
    worker.query("SELECT * FROM claim_queued_jobs('w', 1)");
    engine::RunSettings settings;
    settings.yes = true;
    const std::string why = refusal([&] { run_with(settings); });
    EXPECT_NE(
        why.find("other workers claim from this queue, and would get the load-test jobs: fairq of a shop"),
        std::string::npos)
        << why;
}

TEST_F(Connection, a_worker_of_somebody_else_is_known_by_its_lease) {
    database().query("SELECT enqueue_job('tenant-1', 'mail')");
    database().query("SELECT * FROM claim_queued_jobs('mailer', 1)");
    database().query("SELECT 1"); // not what it says, then
    EXPECT_NE(refusal([&] { run_with({}); }).find("worker mailer, which holds jobs since"),
              std::string::npos);
}

TEST_F(Connection, beside_other_peoples_jobs_a_person_is_asked) {
    database().query("SELECT enqueue_job('tenant-1', 'mail', run_at => now() + interval '1 day')");
    EXPECT_NE(refusal([&] { run_with({}); }).find("has 1 unfinished jobs of others"), std::string::npos);
    engine::RunSettings settings;
    std::string asked;
    settings.ask = [&](const std::string &question) {
        asked = question;
        return false;
    };
    EXPECT_NE(refusal([&] { run_with(settings); }).find("--yes goes on all the same"), std::string::npos);
    EXPECT_EQ(asked.compare(0, 9, "database "), 0) << asked;
    settings.ask = [](const std::string &) { return true; };
    EXPECT_EQ(run_with(settings).outcome, judge::Outcome::pass);
}

TEST_F(Connection, a_deadlock_and_a_failed_serialization_are_no_lost_connections) {
    for (const std::string code : {"40P01", "40001"}) {
        const int pid = (database().connect(), database().backend_pid());
        try {
            database().query("DO $$ BEGIN RAISE 'no' USING ERRCODE = '" + code + "'; END $$");
            ADD_FAILURE() << code << " was not raised";
        } catch (const db::DatabaseError &error) {
            EXPECT_EQ(error.sqlstate(), code);
            EXPECT_FALSE(error.connection_lost());
        }
        EXPECT_EQ(database().scalar("SELECT pg_backend_pid()"), std::to_string(pid));
    }
}

TEST_F(Connection, a_run_clears_its_own_data_and_nothing_else) {
    database().query("SELECT enqueue_job('tenant-1', 'mail', run_at => now() + interval '1 day')");
    engine::RunSettings settings;
    settings.yes = true;
    const engine::RunResult result = run_with(settings);
    EXPECT_EQ(result.outcome, judge::Outcome::pass) << report::text_report(result, {});
    EXPECT_EQ(jobs(), "1");
    EXPECT_EQ(database().scalar("SELECT count(*) FROM channel_outbox"), db::Cell("0"));
    EXPECT_EQ(database().scalar("SELECT count(*) FROM pg_namespace WHERE nspname = 'fairq_driver'"),
              db::Cell("0"));
}

TEST_F(Connection, keep_leaves_the_data_of_the_last_phase) {
    engine::RunSettings settings;
    settings.keep = true;
    run_with(settings);
    EXPECT_EQ(jobs(), "40");
}

TEST_F(Connection, a_backend_of_the_driver_that_is_terminated_does_not_end_the_run) {
    std::thread killer([&] {
        eventually(Milliseconds(10'000), [&] { return jobs() != "0"; });
        database().query(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'fairq %' "
            "AND application_name <> 'fairq test' AND datname = current_database()");
    });
    const engine::RunResult result = run_with({});
    killer.join();
    EXPECT_EQ(result.outcome, judge::Outcome::pass) << report::text_report(result, {});
    EXPECT_GE(result.reconnects, 1);
}

TEST(CrashRestart, a_killed_worker_restarts_the_server_and_the_run_goes_on) {
    fault::ClusterOptions options;
    options.settings = {{"fairq.lease_timeout", "2s"}};
    const fault::Cluster cluster(options);
    const plan::Plan plan = test_plan("steady", "sound", {{"arrivals", "6s"}, {"at_rest", "20s"}});
    plan::Plan patient = plan;
    patient.gates.erase(patient.gates.begin()); // LOAD3: jobs wait while the server is away
    std::thread killer([&] {
        db::Database database(cluster.conninfo(), "test");
        std::string worker;
        eventually(Milliseconds(10'000), [&] {
            // A process that runs a handler: the rest of the server has to restart when it is killed.
            worker =
                database
                    .scalar("SELECT max(pid) FROM pg_stat_activity WHERE backend_type ILIKE '%fairq%' AND "
                            "wait_event = 'PgSleep'")
                    .value_or("");
            return !worker.empty();
        });
        if (!worker.empty())
            kill(static_cast<pid_t>(std::stol(worker)), SIGKILL);
    });
    const engine::RunResult result = run_quietly(patient, cluster.conninfo());
    killer.join();
    EXPECT_EQ(result.outcome, judge::Outcome::pass) << report::text_report(result, {});
    EXPECT_EQ(result.ledger.completed, 300);
    EXPECT_GE(result.reconnects, 1);
}
