// A queue whose whole server moves: by pg_dumpall into another one, by pg_upgrade, and by a restart.
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "interrupt.hpp"
#include "queue_checker.hpp"

using namespace fairq::driver;
using namespace fairq::test;

namespace {

constexpr Milliseconds kPatience{120'000};

ClusterOptions options() {
    ClusterOptions options;
    options.needs_cron = false;
    options.settings = {
        {"fsync", "off"}, {"shared_preload_libraries", "fairq"}, {"max_prepared_transactions", "2"}};
    return options;
}

std::string program(const std::string &name) {
    return find_installation().bin_folder + "/" + name;
}

std::string contents(Database &database) {
    std::string all;
    for (const char *table :
         {"job_live", "(SELECT tableoid::regclass, * FROM job_history)", "job_keys", "tenant_limits",
          "(SELECT * FROM queue_access WHERE role::oid IN (SELECT oid FROM pg_roles))"})
        all +=
            database
                .scalar(fmt::format(
                    "SELECT coalesce(string_agg(t::text, E'\\n' ORDER BY t::text), '') FROM {} AS t", table))
                .value() +
            "\n";
    return all;
}

std::string text_of(const std::string &path) {
    std::ifstream file(path);
    return std::string((std::istreambuf_iterator<char>(file)), {});
}

class MovedServer : public testing::Test {
protected:
    void SetUp() override {
        if (interrupted())
            GTEST_SKIP() << "stopped by a signal";
        old_.emplace(options());
        Database database(old_->conninfo(), "test");
        database.query("CREATE ROLE shop LOGIN; CREATE ROLE gone");
        database.query(
            "SELECT grant_queue_access('shop', 'worker', 'a'), grant_queue_access('gone', 'worker', 'b')");
        database.query("DROP OWNED BY gone; DROP ROLE gone");
        database.query("SELECT set_tenant_limits('a', max_concurrency => 1)");
        enqueue(database, "mail", 30, 3);
        database.query("SELECT enqueue_job('a', 'mail', idempotency_key => 'once')");
        const ClaimedJobs done = claim(database, 5);
        EXPECT_EQ(complete(database, done.ids, done.lock_token).size(), 5u);
        held_ = claim(database, 3);
        database.query("UPDATE job_history SET finished_at = '2020-02-29 12:00+00' WHERE id = $1",
                       {std::to_string(done.ids[0])});
        before_ = contents(database);
    }

    void TearDown() override {
        server_.signal(SIGINT);
        server_.wait_for(kPatience);
        server_.kill();
        for (const std::string &folder : folders_)
            std::filesystem::remove_all(folder);
    }

    void expect_that_it_goes_on(Database &database) {
        EXPECT_EQ(contents(database), before_);
        EXPECT_EQ(complete(database, held_.ids, held_.lock_token).size(), held_.ids.size());
        EXPECT_FALSE(claim(database, 5).ids.empty());
        EXPECT_TRUE(eventually(kPatience, [&] {
            return number(database, "SELECT count(*) FROM job_history_default") == 0;
        })) << "the claim has rows of the default partition moved to their day";
        EXPECT_EQ(database.scalar("SELECT string_agg(role::text, ' ') FROM queue_access WHERE role::oid IN "
                                  "(SELECT oid FROM pg_roles)"),
                  "shop");
    }

    /// Runs it as the server's user, in its folder, and returns what it said when it failed.
    std::string run(const std::vector<std::string> &command, const std::string &folder) {
        Process process = Process::start({command, folder + "/output", folder}, server_identity());
        if (process.wait_for(kPatience) && process.wait() == 0)
            return "";
        process.kill();
        return command[0] + " failed:\n" + text_of(folder + "/output");
    }

    std::string conninfo(const std::string &folder) const {
        return fmt::format("host='{}' port=5432 dbname=fairq user=postgres", folder);
    }

    std::string start(const std::string &folder) {
        server_ = Process::start({{program("postgres"), "-D", folder + "/data"}, folder + "/log", folder},
                                 server_identity());
        return eventually(kPatience,
                          [&] {
                              try {
                                  Database(conninfo(folder), "test").query("SELECT 1");
                                  return true;
                              } catch (const DatabaseError &) {
                                  return false;
                              }
                          })
                   ? ""
                   : "the server did not start:\n" + text_of(folder + "/log");
    }

    std::optional<Cluster> old_;
    std::vector<std::string> folders_;
    ClaimedJobs held_;
    std::string before_;
    Process server_;
};

TEST_F(MovedServer, by_pg_dumpall_has_everything) {
    Cluster other(options());
    Database(other.conninfo("postgres"), "test").query("DROP DATABASE fairq WITH (FORCE)");
    const std::string script = old_->folder() + "/all.sql";
    ASSERT_EQ(run({program("pg_dumpall"), "-h", old_->folder(), "-p", "5432", "-U", "postgres", "-f", script},
                  old_->folder()),
              "");
    // Its roles are there already, but for one: CREATE ROLE postgres is the only statement that may fail.
    ASSERT_EQ(run({program("psql"), "-qX", "-h", other.folder(), "-p", "5432", "-U", "postgres", "-d",
                   "postgres", "-f", script},
                  old_->folder()),
              "");
    std::istringstream said(text_of(old_->folder() + "/output"));
    for (std::string line; std::getline(said, line);)
        if (line.find("ERROR") != std::string::npos) {
            EXPECT_NE(line.find("role \"postgres\" already exists"), std::string::npos) << line;
        }
    Database database(other.conninfo(), "test");
    // The row of the role that is gone is not restored.
    EXPECT_EQ(number(database, "SELECT count(*) FROM queue_access"), 1);
    expect_that_it_goes_on(database);
}

/// From this version to the same one: that is all that pg_upgrade does, but for the versions.
TEST_F(MovedServer, by_pg_upgrade_has_everything) {
    Cluster made(options());
    Database(made.conninfo("postgres"), "test").query("DROP DATABASE fairq WITH (FORCE)");
    const std::string to = made.keep(), from = old_->keep();
    folders_ = {to, from};
    ASSERT_EQ(run({program("pg_upgrade"), "-b", find_installation().bin_folder, "-B",
                   find_installation().bin_folder, "-d", from + "/data", "-D", to + "/data", "-U", "postgres",
                   "-s", to},
                  to),
              "");
    ASSERT_EQ(start(to), "");
    Database database(conninfo(to), "test");
    expect_that_it_goes_on(database);
    EXPECT_EQ(number(database, "SELECT count(*) FROM pg_depend d JOIN pg_inherits i ON i.inhrelid = d.objid "
                               "WHERE d.deptype = 'e' AND d.classid = 'pg_class'::regclass"),
              0)
        << "no partition is a member";
}

/// Advisory locks that a claim for this tenant takes.
std::string locks_of_claim(Database &database) {
    database.query("BEGIN");
    claim(database, 1);
    std::string locks =
        database
            .scalar("SELECT string_agg(format('%s %s', classid, objid), ',' ORDER BY classid) FROM pg_locks "
                    "WHERE locktype = 'advisory' AND pid = pg_backend_pid()")
            .value();
    database.query("ROLLBACK");
    return locks;
}

/// Two servers made in the same way have the same numbers of databases and tables; so only the secret differs.
TEST_F(MovedServer, has_a_secret_of_its_own) {
    Cluster other(options());
    Database here(old_->conninfo(), "test"), there(other.conninfo(), "test");
    const char *const numbers =
        "SELECT format('%s %s', d.oid, 'job_live'::regclass::oid) FROM pg_database d WHERE datname = 'fairq'";
    ASSERT_EQ(here.scalar(numbers), there.scalar(numbers));
    for (Database *const database : {&here, &there}) {
        database->query("TRUNCATE job_live, job_leases");
        database->query("SELECT set_tenant_limits('a', max_concurrency => 1), enqueue_job('a', 'mail', "
                        "concurrency_key => 'k')");
    }
    const std::string locks = locks_of_claim(here);
    EXPECT_NE(locks, locks_of_claim(there));
    // The same after a restart, for a claim that was prepared has its locks still.
    here.disconnect();
    const std::string folder = old_->keep();
    folders_ = {folder};
    ASSERT_EQ(start(folder), "");
    Database again(conninfo(folder), "test");
    EXPECT_EQ(locks_of_claim(again), locks);
}

} // namespace
