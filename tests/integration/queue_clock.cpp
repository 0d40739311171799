// Somebody sets the server's clock. Set back, nothing waits for the time until it has come again; set forward, no
// worker that is alive loses its lease.
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <future>
#include <optional>
#include <thread>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "queue_checker.hpp"
#include "test_cluster.hpp"

using namespace fairq::driver;
using namespace fairq::test;

namespace {

constexpr Milliseconds kPatience{30'000};

/// Of Debian's package libfaketime; empty when it is not installed.
std::string library() {
    std::error_code error;
    for (const auto &folder : std::filesystem::directory_iterator("/usr/lib", error))
        if (const auto found = folder.path() / "faketime/libfaketime.so.1";
            std::filesystem::exists(found, error))
            return found;
    return "";
}

/// What is in the environment of the processes that are started while it lives.
class Environment {
public:
    Environment(std::initializer_list<std::pair<const char *, std::string>> variables) {
        for (const auto &[name, value] : variables) {
            setenv(name, value.c_str(), 1);
            names_.push_back(name);
        }
    }
    ~Environment() {
        for (const char *name : names_)
            unsetenv(name);
    }

private:
    std::vector<const char *> names_;
};

/// A server whose wall clock can be set; its monotonic clock goes on.
class ClockTest : public testing::Test {
protected:
    void SetUp() override {
        if (library().empty())
            GTEST_SKIP() << "there is no libfaketime (Debian: faketime)";
        set_clock(0);
        const Environment environment{{"LD_PRELOAD", library()},
                                      {"FAKETIME_TIMESTAMP_FILE", file()},
                                      {"FAKETIME_NO_CACHE", "1"},
                                      {"FAKETIME_DONT_FAKE_MONOTONIC", "1"}};
        ClusterOptions options;
        options.needs_cron = false;
        options.settings = {{"fsync", "off"}, {"autovacuum", "off"}, {"fairq.lease_timeout", "3s"}};
        cluster_.emplace(options);
        database_.emplace(cluster_->conninfo(), "test");
    }

    /// Seconds from the real time.
    void set_clock(int seconds) {
        // At once: the server may read it at any moment.
        std::ofstream(file() + ".new") << fmt::format("{:+}s\n", seconds);
        std::filesystem::rename(file() + ".new", file());
    }

    Database &database() { return *database_; }
    std::string conninfo() const { return cluster_->conninfo(); }

    std::string claim(const std::string &worker) {
        const Rows rows = database().query("SELECT id, lock_token FROM claim_queued_jobs($1, 1)", {worker});
        return rows.empty() ? "" : rows[0][1].value();
    }

private:
    std::string file() const { return folder_.path() + "/clock"; }

    TemporaryFolder folder_;
    std::optional<Cluster> cluster_;
    std::optional<Database> database_;
};

TEST_F(ClockTest, the_server_sees_the_clock_that_is_set) {
    set_clock(-3600);
    EXPECT_EQ(database().scalar("SELECT clock_timestamp() < to_timestamp($1::float) - interval '59 minutes'",
                                {std::to_string(std::time(nullptr))}),
              "t");
}

TEST_F(ClockTest, set_back_the_leases_of_dead_workers_end_nevertheless) {
    database().query("SELECT enqueue_job('a', 'mail')");
    ASSERT_NE(claim("dies"), "");
    EXPECT_EQ(claim("looks"), "");
    set_clock(-3600);
    EXPECT_TRUE(eventually(kPatience, [&] { return !claim("lives").empty(); }));
}

TEST_F(ClockTest, set_back_jobs_whose_key_is_free_come_back) {
    database().query("SELECT enqueue_job('a', 'mail')");
    ASSERT_NE(claim("w"), "");
    database().query("SELECT enqueue_job('b', 'mail', concurrency_key => 'k')");
    database().query("UPDATE job_live SET parked_position = position, position = NULL WHERE tenant_id = 'b'");
    set_clock(-3600);
    EXPECT_TRUE(eventually(kPatience, [&] { return !claim("w").empty(); }));
}

TEST_F(ClockTest, set_forward_a_worker_that_is_alive_keeps_its_lease) {
    database().query("SELECT enqueue_job('a', 'mail')");
    const std::string token = claim("lives");
    ASSERT_NE(token, "");
    EXPECT_EQ(claim("looks"), "");
    set_clock(3600);
    // Before its heartbeat and after it; for longer than a sweep's second.
    for (int i = 0; i < 20; ++i) {
        EXPECT_EQ(claim("thief"), "");
        EXPECT_EQ(database().scalar("SELECT reclaim_stuck_jobs('3 seconds')"), "0");
        EXPECT_EQ(database().scalar("SELECT heartbeat_jobs($1)", {token}), "1");
        std::this_thread::sleep_for(std::chrono::milliseconds(100));
    }
    // Without heartbeats it ends, as ever.
    EXPECT_TRUE(eventually(kPatience, [&] { return !claim("next").empty(); }));
}

TEST_F(ClockTest, set_back_waits_and_ticks_end_in_their_time) {
    for (const char *call :
         {"CALL wait_for_jobs('3 seconds')", "CALL run_job_queue_ticks(1, '1 second', '3 seconds')"}) {
        set_clock(0);
        auto waiting = std::async(std::launch::async, [&] { Database(conninfo(), "waits").query(call); });
        std::this_thread::sleep_for(std::chrono::milliseconds(500)); // it has begun, or else it proves less
        set_clock(-3600);
        const bool ended = waiting.wait_for(kPatience) == std::future_status::ready;
        EXPECT_TRUE(ended) << call;
        if (!ended)
            database().query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name "
                             "= 'fairq waits'");
        try {
            waiting.get();
        } catch (const DatabaseError &error) {
            ADD_FAILURE() << error.what();
        }
    }
}

} // namespace
