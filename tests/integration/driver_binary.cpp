// The fairq binary as people and CI use it: exit codes, the last line, and what a
// signal leaves behind: nothing.
#include <csignal>
#include <fstream>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "interrupt.hpp"
#include "test_cluster.hpp"

using namespace fairq::driver;
using namespace fairq::test;

namespace {

constexpr Milliseconds kShort{20'000};
constexpr Milliseconds kLong{60'000};

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
    EXPECT_EQ(fairq.last_line(), "11 passed, 0 failed") << fairq.output();
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
    EXPECT_EQ(failed.last_line(), "11 passed, 1 failed");
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
