// What claims remember of a lane hides no job: sixteen sessions do to a queue whatever can be done to one,
// again and again the world stops, and the claims that follow have to find all that the table says can be
// claimed. Under an old snapshot all the while, so that the entries of finished jobs stay where they are.
#include <atomic>
#include <condition_variable>
#include <csignal>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <mutex>
#include <random>
#include <thread>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "altered_installation.hpp"
#include "queue_checker.hpp"

using namespace fairq::driver;
using namespace fairq::test;

namespace {

constexpr int kSessions = 16;
constexpr int kTenants = 5;
constexpr int kRounds = 10;
constexpr Milliseconds kRound{900};
constexpr Milliseconds kPatience{60'000};
constexpr const char *kClaimable =
    "SELECT count(*) FROM job_live WHERE status = 'queued' AND position IS NOT NULL";

std::uint64_t seed() {
    const char *const given = std::getenv("FAIRQ_TEST_SEED");
    const std::uint64_t value = given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
    std::cout << "FAIRQ_TEST_SEED=" << value << std::endl;
    return value;
}

/// Lets the sessions go on, and stops them between two of their transactions.
class World {
public:
    void go() {
        const std::lock_guard<std::mutex> lock(mutex_);
        stopped_ = false;
        changed_.notify_all();
    }

    void stop() {
        std::unique_lock<std::mutex> lock(mutex_);
        stopped_ = true;
        changed_.wait(lock, [this] { return waiting_ == kSessions; });
    }

    void end() {
        const std::lock_guard<std::mutex> lock(mutex_);
        ended_ = true;
        stopped_ = false;
        changed_.notify_all();
    }

    /// For sessions: false when the world has ended.
    bool goes_on() {
        std::unique_lock<std::mutex> lock(mutex_);
        ++waiting_;
        changed_.notify_all();
        changed_.wait(lock, [this] { return !stopped_; });
        --waiting_;
        return !ended_;
    }

    /// For a session that has died: stop() does not wait for it.
    void leave() {
        const std::lock_guard<std::mutex> lock(mutex_);
        ++waiting_;
        changed_.notify_all();
    }

    std::atomic<bool> writes_tables{false}; ///< sessions may write directly to the tables
    std::atomic<bool> killed{false};        ///< a lost connection is no error

private:
    std::mutex mutex_;
    std::condition_variable changed_;
    bool stopped_ = true, ended_ = false;
    int waiting_ = 0;
};

class Session {
public:
    Session(const std::string &conninfo, World &world, std::uint64_t seed)
        : database_(conninfo, "session"), world_(world), random_(seed), number_(seed) {}

    void run() {
        while (world_.goes_on())
            try {
                step();
            } catch (const DatabaseError &error) {
                if (error.sqlstate().substr(0, 2) != "JQ" && !world_.killed)
                    throw;
                end_of_transaction();
            }
    }

private:
    int up_to(int most) { return std::uniform_int_distribution<int>(1, most)(random_); }
    std::string tenant() { return fmt::format("t{}", up_to(kTenants)); }
    void wait_a_little() { std::this_thread::sleep_for(Milliseconds(up_to(15))); }

    void end_of_transaction() {
        try {
            database_.query("ROLLBACK");
        } catch (const DatabaseError &) {
        }
    }

    void step() {
        const int what = up_to(world_.writes_tables ? 100 : 90);
        if (what <= 20)
            enqueue_some();
        else if (what <= 30)
            commit_late();
        else if (what <= 60)
            finish(claim_some());
        else if (what <= 66)
            roll_back([this] { claim_some(); });
        else if (what <= 70)
            claim_behind_a_savepoint();
        else if (what <= 76)
            give_back_late();
        else if (what <= 79)
            roll_back([this] { cancel_and_claim(); });
        else if (what <= 82)
            database_.query("SELECT reclaim_stuck_jobs('100 milliseconds')");
        else if (what <= 85)
            database_.query("SELECT redrive_dead_jobs(max_jobs => 10)");
        else if (what <= 88)
            roll_back([this] { lock_rows(); });
        else if (what <= 90)
            database_.query("SELECT cancel_job(id) FROM job_live WHERE status = 'queued' LIMIT 1");
        else
            write_tables(what);
    }

    void enqueue_some() {
        const int jobs = up_to(60);
        const std::string key = up_to(10) == 1 ? "'k'" : "NULL";
        if (up_to(12) == 1)
            database_.query("WITH run AS MATERIALIZED (SELECT create_pipeline_run($1, 'r') AS id) SELECT "
                            "enqueue_job($1, 'j', run_id => id, stage => stage) FROM run, "
                            "generate_series(1, 2) AS stage",
                            {tenant()});
        else
            database_.query(
                fmt::format("SELECT enqueue_job($1, 'j', priority => $2::integer, max_attempts => 2, "
                            "concurrency_key => {}) FROM generate_series(1, {})",
                            key, jobs),
                {tenant(), std::to_string(up_to(5) - 3)});
    }

    void commit_late() {
        database_.query("BEGIN");
        enqueue_some();
        database_.query("SAVEPOINT s");
        enqueue_some();
        if (up_to(2) == 1)
            database_.query("ROLLBACK TO s");
        wait_a_little();
        database_.query(up_to(4) == 1 ? "ROLLBACK" : "COMMIT");
    }

    template <class F>
    void roll_back(F &&work) {
        database_.query("BEGIN");
        work();
        if (up_to(2) == 1)
            wait_a_little();
        database_.query("ROLLBACK");
    }

    ClaimedJobs claim_some() { return claim(database_, up_to(50), up_to(30)); }

    void claim_behind_a_savepoint() {
        database_.query("BEGIN");
        database_.query("SAVEPOINT s");
        claim_some();
        database_.query("ROLLBACK TO s");
        const ClaimedJobs jobs = claim_some();
        database_.query("COMMIT");
        finish(jobs);
    }

    void give_back_late() {
        const ClaimedJobs jobs = claim_some();
        if (jobs.ids.empty())
            return;
        database_.query("BEGIN");
        database_.query("SELECT release_jobs($1, $2)", {id_array(jobs.ids), jobs.lock_token});
        wait_a_little();
        database_.query(up_to(4) == 1 ? "ROLLBACK" : "COMMIT");
    }

    void cancel_and_claim() {
        database_.query(
            "SELECT cancel_job(id) FROM job_live WHERE status = 'queued' AND tenant_id = $1 LIMIT 1",
            {tenant()});
        claim_some();
    }

    void lock_rows() {
        database_.query(
            "SELECT FROM job_live WHERE status = 'queued' AND tenant_id = $1 ORDER BY priority, position "
            "LIMIT 5 FOR UPDATE SKIP LOCKED",
            {tenant()});
    }

    void finish(const ClaimedJobs &jobs) {
        const int what = up_to(10);
        if (jobs.ids.empty() || what == 1)
            return; // never heard of again
        if (what <= 3)
            database_.query("SELECT release_jobs($1, $2)", {id_array({jobs.ids[0]}), jobs.lock_token});
        else if (what <= 5)
            database_.query("SELECT fail_job($1, $2, 'on purpose')",
                            {std::to_string(jobs.ids[0]), jobs.lock_token});
        complete(database_, jobs.ids, jobs.lock_token);
    }

    void write_tables(int what) {
        if (what <= 95) {
            database_.query(
                "UPDATE job_live SET status = 'queued', locked_by = NULL, locked_at = NULL, lock_token "
                "= NULL, held_key = NULL, running_since = NULL, running_position = NULL, "
                "position = coalesce(position, running_position) WHERE id = (SELECT id FROM job_live "
                "WHERE status = 'locked' LIMIT 1 FOR UPDATE SKIP LOCKED)");
            return;
        }
        const std::string name = fmt::format("'{}-{}'", number_, ++prepared_);
        database_.query("BEGIN");
        what <= 97 ? enqueue_some() : (void)claim_some();
        database_.query("PREPARE TRANSACTION " + name);
        wait_a_little();
        database_.query((up_to(2) == 1 ? "COMMIT PREPARED " : "ROLLBACK PREPARED ") + name);
    }

    Database database_;
    World &world_;
    std::mt19937_64 random_;
    std::uint64_t number_;
    int prepared_ = 0;
};

class SkipRanges : public testing::Test {
protected:
    explicit SkipRanges(const std::string &rule_left_out = "") : cluster_(options(), rule_left_out) {}

    static ClusterOptions options() {
        ClusterOptions made;
        made.needs_cron = false;
        made.settings = {{"fsync", "off"},
                         {"autovacuum", "off"},
                         {"max_prepared_transactions", "50"},
                         {"fairq.backoff_base", "1ms"},
                         {"fairq.backoff_max", "20ms"}};
        return made;
    }

    void start(std::uint64_t seed) {
        hold_snapshot();
        for (int i = 0; i < kSessions; ++i)
            threads_.emplace_back([this, seed, i] {
                try {
                    Session(cluster_.conninfo(), world_, seed + static_cast<std::uint64_t>(i)).run();
                } catch (const std::exception &thrown) {
                    const std::lock_guard<std::mutex> lock(mutex_);
                    errors_.emplace_back(thrown.what());
                    failed_ = true;
                    world_.leave();
                }
            });
    }

    void hold_snapshot() {
        old_.disconnect();
        old_.query("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
        old_.query("SELECT count(*) FROM job_live");
    }

    /// A round, then the world stops. False when a session has died.
    bool round() {
        world_.go();
        std::this_thread::sleep_for(kRound);
        if (failed_)
            return false;
        world_.stop();
        return true;
    }

    /// Takes all that claims find.
    void claim_all() {
        while (!claim(database_, 1000).ids.empty()) {
        }
    }

    void TearDown() override {
        world_.end();
        for (std::thread &thread : threads_)
            thread.join();
        EXPECT_EQ(errors_, std::vector<std::string>{});
    }

    void kill_a_session() {
        world_.killed = true;
        world_.go();
        const int victim = static_cast<int>(number(
            database_, "SELECT pid FROM pg_stat_activity WHERE application_name = 'fairq session' LIMIT 1"));
        ASSERT_EQ(kill(victim, SIGKILL), 0);
        ASSERT_TRUE(eventually(kPatience, [this] {
            try {
                return number(database_,
                              "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'fairq "
                              "old snapshot'") == 0;
            } catch (const DatabaseError &) {
                return false;
            }
        }));
        std::this_thread::sleep_for(kRound);
        world_.stop();
        world_.killed = false;
        hold_snapshot();
    }

    OwnCluster cluster_;
    Database database_{cluster_.conninfo(), "judge"}, old_{cluster_.conninfo(), "old snapshot"};
    World world_;
    std::vector<std::thread> threads_;
    std::mutex mutex_;
    std::vector<std::string> errors_;
    std::atomic<bool> failed_{false};
};

TEST_F(SkipRanges, hide_no_job_that_came_through_the_api_and_other_jobs_not_for_long) {
    start(seed());
    std::int64_t found = 0;
    for (int i = 0; i < kRounds && round(); ++i) {
        if (i == kRounds / 2)
            kill_a_session();
        found += number(database_, kClaimable);
        claim_all();
        ASSERT_EQ(number(database_, kClaimable), 0) << "in round " << i;
    }
    std::cout << found << " jobs were found" << std::endl;
    EXPECT_GT(found, 1000) << "there was hardly anything to find";
    world_.writes_tables = true;
    for (int i = 0; i < 2 && round(); ++i)
        EXPECT_TRUE(eventually(kPatience,
                               [this] {
                                   claim_all();
                                   return number(database_, kClaimable) == 0;
                               }))
            << number(database_, kClaimable) << " jobs are left";
}

class SkipRangesWithoutInvalidation : public SkipRanges {
protected:
    SkipRangesWithoutInvalidation() : SkipRanges("without_invalidation") {}
};

TEST_F(SkipRangesWithoutInvalidation, are_found_to_hide_jobs) {
    start(seed());
    std::int64_t hidden = 0;
    for (int i = 0; i < kRounds && hidden == 0 && round(); ++i) {
        claim_all();
        hidden = number(database_, kClaimable);
    }
    EXPECT_GT(hidden, 0);
}

} // namespace
