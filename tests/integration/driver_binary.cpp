// The fairq binary as people and CI use it: exit codes, the last line, and what a
// signal leaves behind: nothing.
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "interrupt.hpp"
#include "test_cluster.hpp"

using namespace fairq::driver;
using namespace fairq::test;

namespace {

constexpr Milliseconds kShort{60'000}; // patience: on a busy machine initdb alone takes half of it
constexpr Milliseconds kLong{180'000};

std::string plan_path(const std::string &name) {
    return std::string(FAIRQ_TEST_PLANS) + "/" + name + ".toml";
}

/// Process id of the server in a throw-away cluster below this folder, 0 while there is none.
pid_t server_below(const TemporaryFolder &folder) {
    for (const std::string &entry : folder.entries()) {
        std::ifstream file(folder.path() + "/" + entry + "/data/postmaster.pid");
        pid_t pid = 0;
        if (file >> pid)
            return pid;
    }
    return 0;
}

class Binary : public testing::Test {
protected:
    void SetUp() override {
        if (interrupted())
            GTEST_SKIP() << "stopped by a signal";
    }
};

} // namespace

TEST_F(Binary, a_good_run_on_a_throw_away_cluster_exits_with_0_and_leaves_nothing) {
    FairqProcess fairq({"run", plan_path("small"), "--seed", "7", "--json", "-"});
    EXPECT_EQ(fairq.exit_code(kLong), 0) << fairq.output();
    EXPECT_EQ(fairq.last_line(), "16 passed, 0 failed") << fairq.output();
    EXPECT_NE(fairq.output().find("\"verdict\": \"pass\""), std::string::npos);
    EXPECT_TRUE(fairq.folder().entries().empty());
}

TEST_F(Binary, broken_and_failed_runs_have_their_exit_codes) {
    const std::string database = "--dsn=" + shared_cluster().conninfo("criteria");
    db::Database(shared_cluster().conninfo("postgres"), "test").query("CREATE DATABASE criteria");
    db::Database(shared_cluster().conninfo("criteria"), "test").query("CREATE EXTENSION fairq");
    FairqProcess broken({"run", plan_path("small"), "--profile", "deleted_row", database, "-q"});
    EXPECT_EQ(broken.exit_code(kShort), 1) << broken.output();
    FairqProcess failed({"run", plan_path("small"), database, "-q", "--threshold", "tick_ms:max<0.001"});
    EXPECT_EQ(failed.exit_code(kShort), 99) << failed.output();
    EXPECT_EQ(failed.last_line(), "16 passed, 1 failed");
    FairqProcess open({"run", plan_path("small"), database, "-q", "--threshold", "tick_ms:p(99)<9999"});
    EXPECT_EQ(open.exit_code(kShort), 2) << open.output();
}

TEST_F(Binary, mistakes_exit_with_104_before_anything_is_started) {
    const std::vector<std::string> mistakes[] = {{"fly"},
                                                 {"run", "no-such-plan"},
                                                 {"run", plan_path("small"), "--profile", "none"},
                                                 {"run", plan_path("small"), "--threshold", "no_such:max<1"},
                                                 {"run", plan_path("small"), "--json", "/no/such/folder/x"},
                                                 {"check", plan_path("small"), "--option", "x=1"}};
    for (const auto &arguments : mistakes) {
        FairqProcess fairq(arguments);
        EXPECT_EQ(fairq.exit_code(kShort), 104) << fairq.output();
        EXPECT_EQ(fairq.last_line(), "0 passed, 1 failed");
    }
}

TEST_F(Binary, a_server_that_cannot_be_used_exits_with_3) {
    FairqProcess fairq({"run", plan_path("small"), "--dsn", "host=/nonexistent dbname=x"});
    EXPECT_EQ(fairq.exit_code(kShort), 3) << fairq.output();
}

TEST_F(Binary, results_that_could_not_be_written_have_not_passed) {
    db::Database(shared_cluster().conninfo("postgres"), "test").query("CREATE DATABASE unwritten");
    db::Database(shared_cluster().conninfo("unwritten"), "test").query("CREATE EXTENSION fairq");
    const std::string database = "--dsn=" + shared_cluster().conninfo("unwritten");
    FairqProcess file({"run", plan_path("small"), database, "--json", "/dev/full"});
    EXPECT_EQ(file.exit_code(kLong), 106) << file.output();
    EXPECT_NE(file.output().find("fairq: cannot write /dev/full: No space left on device"),
              std::string::npos);
    for (const std::vector<std::string> &arguments :
         {std::vector<std::string>{FAIRQ_BINARY, "run", plan_path("small"), database},
          {FAIRQ_BINARY, "list"}}) {
        fault::Process fairq = fault::Process::start({arguments, "/dev/full"}, {geteuid(), getegid(), ""});
        ASSERT_TRUE(fairq.wait_for(kLong));
        EXPECT_EQ(fairq.wait(), 106) << arguments[1];
    }
}

TEST_F(Binary, a_result_file_is_there_whole_or_as_it_was) {
    const TemporaryFolder folder;
    const std::string file = folder.path() + "/summary.json";
    std::ofstream(file) << "of the run before";
    FairqProcess refused({"run", plan_path("small"), "--dsn", "host=/nonexistent dbname=x", "--json", file});
    EXPECT_EQ(refused.exit_code(kShort), 3);
    std::ifstream written(file);
    EXPECT_EQ(nlohmann::json::parse(written)["verdict"], "setup");
    EXPECT_EQ(folder.entries(), std::vector<std::string>{"summary.json"});
}

TEST_F(Binary, list_and_check_need_no_server) {
    FairqProcess list({"list"});
    EXPECT_EQ(list.exit_code(kShort), 0);
    EXPECT_NE(list.output().find("--profile smoke"), std::string::npos) << list.output();
    FairqProcess check({"check", "scaling"});
    EXPECT_EQ(check.exit_code(kShort), 0);
    EXPECT_NE(check.output().find("SELECT cron.schedule('run-job-queue-single', '* * * * *', "
                                  "$$ SELECT public.run_job_queue_cron() $$);"),
              std::string::npos)
        << check.output();
}

TEST_F(Binary, ctrl_c_exits_with_105_and_leaves_neither_server_nor_folder) {
    FairqProcess fairq({"run", plan_path("small"), "--option", "jobs=4000"});
    ASSERT_TRUE(eventually(kShort, [&] {
        return fairq.output().find("done 10/") != std::string::npos ||
               fairq.output().find("single") != std::string::npos;
    })) << fairq.output();
    const pid_t server = server_below(fairq.folder());
    ASSERT_GT(server, 0);
    fairq.process().signal(SIGINT);
    EXPECT_EQ(fairq.exit_code(kShort), 105) << fairq.output();
    EXPECT_TRUE(fairq.folder().entries().empty());
    EXPECT_NE(kill(server, 0), 0);
    EXPECT_NE(fairq.output().find("ABORTED"), std::string::npos);
}

TEST_F(Binary, a_driver_that_is_killed_outright_takes_its_server_with_it) {
    FairqProcess fairq({"run", plan_path("small"), "--option", "jobs=4000"});
    ASSERT_TRUE(eventually(kShort, [&] { return fairq.output().find("single") != std::string::npos; }));
    const pid_t server = server_below(fairq.folder());
    ASSERT_GT(server, 0);
    fairq.process().kill();
    EXPECT_TRUE(eventually(kShort, [&] { return kill(server, 0) != 0; }));
}

TEST_F(Binary, ctrl_c_ends_a_statement_that_takes_for_ever_and_undoes_what_was_done) {
    db::Database(shared_cluster().conninfo("postgres"), "test").query("CREATE DATABASE for_ever");
    db::Database database(shared_cluster().conninfo("for_ever"), "test");
    database.query("CREATE EXTENSION fairq");
    const auto sleeping = [&] {
        return database.scalar(
            "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query = 'SELECT "
            "pg_sleep(1000000)'");
    };
    const TemporaryFolder folder;
    const std::string summary = folder.path() + "/summary.json";
    FairqProcess fairq({"run", plan_path("edges"), "--profile", "for_ever", "--dsn", database.conninfo(),
                        "--json", summary});
    ASSERT_TRUE(eventually(kShort, [&] { return sleeping() == db::Cell("1"); })) << fairq.output();
    EXPECT_EQ(database.scalar("SELECT count(*) FROM fairq_driver.runs"), db::Cell("1"));
    fairq.process().signal(SIGINT);
    EXPECT_EQ(fairq.exit_code(kShort), 105) << fairq.output();
    EXPECT_TRUE(eventually(kShort, [&] { return sleeping() == db::Cell("0"); }));
    EXPECT_EQ(database.scalar("SELECT count(*) FROM pg_namespace WHERE nspname = 'fairq_driver'"),
              db::Cell("0"));
    std::ifstream file(summary);
    const auto json = nlohmann::json::parse(file);
    EXPECT_EQ(json["complete"], false);
    EXPECT_EQ(json["phases"][0]["end"], "interrupted");
}

TEST_F(Binary, ctrl_c_ends_a_frozen_server_s_run) {
    fault::ClusterOptions options;
    options.needs_cron = false;
    fault::Cluster cluster(options);
    FairqProcess fairq({"run", plan_path("edges"), "--profile", "for_ever", "--dsn", cluster.conninfo()});
    db::Database database(cluster.conninfo(), "test");
    db::Cell backend;
    ASSERT_TRUE(eventually(kShort, [&] {
        backend =
            database.scalar("SELECT max(pid) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(1000000)'");
        return backend.has_value();
    })) << fairq.output();
    for (const pid_t process : {static_cast<pid_t>(std::stol(*backend)), cluster.server_pid()})
        kill(process, SIGSTOP);
    fairq.process().signal(SIGINT);
    EXPECT_TRUE(eventually(kShort, [&] {
        return fairq.output().find("stopping: the load has ended") != std::string::npos;
    })) << fairq.output();
    for (const pid_t process : {static_cast<pid_t>(std::stol(*backend)), cluster.server_pid()})
        kill(process, SIGCONT);
    EXPECT_EQ(fairq.exit_code(kLong), 105) << fairq.output();
}

TEST_F(Binary, ctrl_c_ends_connecting_to_a_server_that_says_nothing) {
    const int listener = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    ASSERT_EQ(bind(listener, reinterpret_cast<sockaddr *>(&address), size), 0);
    ASSERT_EQ(listen(listener, 5), 0);
    ASSERT_EQ(getsockname(listener, reinterpret_cast<sockaddr *>(&address), &size), 0);
    FairqProcess fairq(
        {"run", plan_path("small"), "--dsn",
         "host=127.0.0.1 user=x dbname=x connect_timeout=0 port=" + std::to_string(ntohs(address.sin_port))});
    const int session = accept(listener, nullptr, nullptr);
    EXPECT_GE(session, 0);
    fairq.process().signal(SIGINT);
    EXPECT_EQ(fairq.exit_code(kShort), 105) << fairq.output();
    close(session);
    close(listener);
}

TEST_F(Binary, ctrl_c_ends_initdb_and_a_server_that_does_not_start) {
    for (const bool initdb_hangs : {true, false}) {
        const TemporaryFolder fake;
        const auto script = [&](const std::string &name, const std::string &text) {
            std::ofstream(fake.path() + "/" + name) << "#!/bin/sh\n" << text << "\n";
            chmod((fake.path() + "/" + name).c_str(), 0755);
        };
        std::filesystem::create_directory(fake.path() + "/extension");
        std::ofstream(fake.path() + "/extension/fairq.control") << "";
        script("pg_config", "echo " + fake.path());
        script("initdb", R"([ "$1" = --version ] && echo 'initdb (PostgreSQL) 15.0' && exit
echo initdb has begun; mkdir "$2" )" +
                             std::string(initdb_hangs ? "; sleep 1000000" : ""));
        script("postgres", "echo the server has begun; exec sleep 1000000");
        const char *before = std::getenv("PG_CONFIG");
        const std::string saved = before != nullptr ? before : "";
        setenv("PG_CONFIG", (fake.path() + "/pg_config").c_str(), 1);
        FairqProcess fairq({"run", plan_path("small")});
        saved.empty() ? unsetenv("PG_CONFIG") : setenv("PG_CONFIG", saved.c_str(), 1);
        const std::string begun = initdb_hangs ? "initdb has begun" : "the server has begun";
        EXPECT_TRUE(eventually(kShort, [&] {
            for (const std::string &entry : fairq.folder().entries()) {
                std::ifstream log(fairq.folder().path() + "/" + entry + "/log");
                if (std::string((std::istreambuf_iterator<char>(log)), {}).find(begun) != std::string::npos)
                    return true;
            }
            return false;
        })) << fairq.output();
        fairq.process().signal(SIGINT);
        EXPECT_EQ(fairq.exit_code(kShort), 105) << fairq.output();
        EXPECT_TRUE(fairq.folder().entries().empty());
    }
}

TEST_F(Binary, cleanup_takes_away_what_a_killed_driver_left_and_nothing_of_others) {
    db::Database database(shared_cluster().conninfo(), "test");
    database.query("SELECT enqueue_job('tenant-1', 'mail', run_at => now() + interval '1 day')");
    FairqProcess fairq({"run", "scaling", "--yes", "--dsn", shared_cluster().conninfo()});
    ASSERT_TRUE(eventually(kShort, [&] {
        return database.scalar("SELECT command FROM cron.job WHERE jobname = 'run-job-queue-single'")
            .has_value();
    })) << fairq.output();
    FairqProcess alive({"cleanup", "--dsn", shared_cluster().conninfo()});
    EXPECT_EQ(alive.exit_code(kShort), 3) << alive.output();
    EXPECT_NE(alive.output().find("another run goes on"), std::string::npos) << alive.output();
    fairq.process().kill();
    const auto left = [&] {
        return database.scalar(
            "SELECT (SELECT count(*) FROM cron.job) || ' ' || (SELECT count(*) FROM job_queue) || ' ' || "
            "count(*) FROM pg_namespace WHERE nspname = 'fairq_driver'");
    };
    EXPECT_EQ(left(), db::Cell("1 1001 1"));
    FairqProcess other({"cleanup", "--run-id", "nobody", "--dsn", shared_cluster().conninfo()});
    ASSERT_TRUE(eventually(kShort, [&] {
        return database.scalar(
                   "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid = 1717660018") ==
               db::Cell("0");
    })) << "the killed driver's sessions end";
    EXPECT_EQ(other.exit_code(kShort), 3) << other.output();
    FairqProcess cleanup({"cleanup", "--dsn", shared_cluster().conninfo()});
    EXPECT_EQ(cleanup.exit_code(kShort), 0) << cleanup.output();
    EXPECT_NE(cleanup.output().find("cron job run-job-queue-single removed"), std::string::npos)
        << cleanup.output();
    EXPECT_EQ(left(), db::Cell("0 1 0")) << cleanup.output();
    database.query("SELECT cancel_job(id) FROM job_queue");
    database.query("DELETE FROM job_history");
}

TEST_F(Binary, cleanup_removes_the_folder_of_a_killed_drivers_server_and_no_other) {
    const TemporaryFolder folder;
    const char *before = std::getenv("TMPDIR");
    const std::string saved = before != nullptr ? before : "";
    setenv("TMPDIR", folder.path().c_str(), 1);
    std::filesystem::create_directories(folder.path() + "/fairq-killed/data");
    std::ofstream(folder.path() + "/fairq-killed/driver.pid") << 2'000'000'000;
    std::filesystem::create_directories(folder.path() + "/fairq-runs/data");
    std::ofstream(folder.path() + "/fairq-runs/driver.pid") << getpid();
    std::filesystem::create_directories(folder.path() + "/fairq-kept/data");
    EXPECT_EQ(fault::remove_abandoned_clusters(), std::vector<std::string>{folder.path() + "/fairq-killed"});
    saved.empty() ? unsetenv("TMPDIR") : setenv("TMPDIR", saved.c_str(), 1);
    EXPECT_EQ(folder.entries().size(), 2U);
}

TEST_F(Binary, ctrl_c_on_somebodys_database_takes_schedules_and_data_away) {
    db::Database database(shared_cluster().conninfo(), "test");
    FairqProcess fairq({"run", "scaling", "--dsn", shared_cluster().conninfo()});
    ASSERT_TRUE(eventually(kShort, [&] {
        return database.scalar("SELECT command FROM cron.job WHERE jobname = 'run-job-queue-single'") ==
               db::Cell(" SELECT public.run_job_queue_cron() ");
    })) << fairq.output();
    fairq.process().signal(SIGTERM);
    EXPECT_EQ(fairq.exit_code(kShort), 105) << fairq.output();
    EXPECT_EQ(database.scalar("SELECT count(*) FROM cron.job"), db::Cell("0"));
    EXPECT_EQ(database.scalar("SELECT count(*) FROM job_queue"), db::Cell("0"));
}

TEST_F(Binary, a_cron_job_of_that_name_that_is_not_ours_is_refused_and_left_alone) {
    db::Database database(shared_cluster().conninfo(), "test");
    database.query("SELECT cron.schedule('run-job-queue-parallel', '0 5 1 1 *', 'SELECT 1')");
    FairqProcess fairq({"run", "scaling", "--dsn", shared_cluster().conninfo()});
    EXPECT_EQ(fairq.exit_code(kShort), 3) << fairq.output();
    EXPECT_NE(fairq.output().find("SELECT cron.unschedule('run-job-queue-parallel');"), std::string::npos)
        << fairq.output();
    EXPECT_EQ(database.scalar("SELECT count(*) FROM cron.job"), db::Cell("1"));
    database.query("SELECT cron.unschedule('run-job-queue-parallel')");
}
