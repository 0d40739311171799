// CALL wait_for_jobs: no wake-up is lost, one job wakes one waiter, and a waiter holds no snapshot and no
// lock.
#include <atomic>
#include <csignal>
#include <iostream>
#include <mutex>
#include <random>
#include <thread>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "queue_checker.hpp"

using namespace fairq::driver;
using namespace fairq::test;

namespace {

constexpr int kWaiters = 8;
constexpr Milliseconds kPatience{20'000};
// Longer than any test is patient, so that a waiter that is not woken is noticed.
constexpr const char *kWait = "CALL wait_for_jobs('1 minute')";

/// The sessions that sleep in a wait, in pg_stat_activity.
constexpr const char *kSleeping =
    "pid IN (SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Extension' "
    "AND state = 'active' AND query LIKE 'CALL wait_for_jobs%')";

std::int64_t sleeping(Database &database, const std::string &condition = "true") {
    return number(database,
                  fmt::format("SELECT count(*) FROM pg_stat_activity WHERE {} AND {}", kSleeping, condition));
}

/// Sessions that each claim once, find nothing and wait.
class Waiters {
public:
    explicit Waiters(const std::vector<std::string> &conninfos) {
        for (const std::string &conninfo : conninfos)
            databases_.push_back(std::make_unique<Database>(conninfo, "waiter"));
        results_.resize(databases_.size());
        for (std::size_t i = 0; i < databases_.size(); ++i)
            threads_.emplace_back([this, i] { wait(i); });
    }

    ~Waiters() {
        for (std::thread &thread : threads_)
            thread.join();
    }
    Waiters(const Waiters &) = delete;
    Waiters &operator=(const Waiters &) = delete;

    int returned() const { return returned_; }
    int backend(std::size_t i) const { return databases_[i]->backend_pid(); }

    /// "t", "f" or an SQLSTATE; empty while it waits.
    std::string result(std::size_t i) {
        const std::lock_guard<std::mutex> lock(mutex_);
        return results_[i];
    }

private:
    void wait(std::size_t i) {
        std::string result;
        try {
            claim(*databases_[i], 10);
            result = databases_[i]->scalar(kWait).value();
        } catch (const DatabaseError &error) {
            result = error.connection_lost() ? "lost" : error.sqlstate();
        }
        {
            const std::lock_guard<std::mutex> lock(mutex_);
            results_[i] = result;
        }
        ++returned_;
    }

    std::vector<std::unique_ptr<Database>> databases_;
    std::vector<std::thread> threads_;
    std::vector<std::string> results_;
    std::atomic<int> returned_{0};
    std::mutex mutex_;
};

class Wait : public DatabaseTest {
protected:
    /// All of so many waiters are asleep.
    bool all_sleep(int waiters) {
        return eventually(kPatience, [&] { return sleeping(database()) == waiters; });
    }
    bool have_returned(const Waiters &waiters, int count) {
        return eventually(kPatience, [&] { return waiters.returned() == count; });
    }
    /// A change of limits ends every wait.
    void wake_all() { database().query("SELECT set_tenant_limits('nobody', weight => 1)"); }

    std::vector<std::string> conninfos(int count) { return std::vector<std::string>(count, conninfo()); }
};

TEST_F(Wait, one_job_wakes_one_waiter_and_three_wake_three) {
    Waiters waiters(conninfos(kWaiters));
    ASSERT_TRUE(all_sleep(kWaiters));
    int expected = 0;
    for (const int jobs : {1, 1, 3}) {
        enqueue(database(), "work", jobs, jobs);
        expected += jobs;
        EXPECT_TRUE(have_returned(waiters, expected));
        EXPECT_TRUE(all_sleep(kWaiters - expected));
    }
    EXPECT_EQ(waiters.returned(), expected);
    wake_all();
    EXPECT_TRUE(have_returned(waiters, kWaiters));
}

TEST_F(Wait, a_waiter_has_no_snapshot_and_no_transaction_id_also_after_the_housekeeping) {
    Waiters waiters(conninfos(kWaiters));
    ASSERT_TRUE(all_sleep(kWaiters));
    for (const char *housekeeping : {"", "SELECT reclaim_stuck_jobs()"}) {
        if (*housekeeping != '\0')
            database().query(housekeeping);
        EXPECT_TRUE(eventually(kPatience, [&] {
            return sleeping(database(), "backend_xmin IS NULL AND backend_xid IS NULL") == kWaiters;
        }));
    }
    // The leader has done the housekeeping when the job that was due an instant ago is in its lane.
    database().query("SELECT FROM enqueue_job('a', 'later', run_at => now() + interval '10 ms')");
    EXPECT_TRUE(have_returned(waiters, 1));
    EXPECT_EQ(jobs_with_status(database(), "queued"), 1);
    EXPECT_EQ(sleeping(database(), "backend_xmin IS NOT NULL OR backend_xid IS NOT NULL"), 0);
    wake_all();
    EXPECT_TRUE(have_returned(waiters, kWaiters));
}

TEST_F(Wait, a_wait_can_be_cancelled_terminated_and_timed_out_and_the_others_go_on_waiting) {
    Waiters waiters(conninfos(4));
    ASSERT_TRUE(all_sleep(4));
    database().query("SELECT pg_cancel_backend($1)", {std::to_string(waiters.backend(0))});
    EXPECT_TRUE(have_returned(waiters, 1));
    EXPECT_EQ(waiters.result(0), "57014");
    database().query("SELECT pg_terminate_backend($1)", {std::to_string(waiters.backend(1))});
    EXPECT_TRUE(have_returned(waiters, 2));
    Database hasty(conninfo(), "hasty");
    hasty.query("SET statement_timeout = '100 ms'");
    claim(hasty, 1);
    try {
        hasty.query(kWait);
        ADD_FAILURE() << "no timeout";
    } catch (const DatabaseError &error) {
        EXPECT_EQ(error.sqlstate(), "57014");
    }
    EXPECT_EQ(hasty.scalar("SELECT current_user"), database().scalar("SELECT current_user"));
    EXPECT_TRUE(all_sleep(2));
    enqueue(database(), "work", 2, 1);
    EXPECT_TRUE(have_returned(waiters, 4));
    EXPECT_EQ(waiters.result(2), "t");
    EXPECT_EQ(waiters.result(3), "t");
}

// The waiter's housekeeping would find the job too, but only a second after the wait begins.
TEST_F(Wait, a_scheduled_job_wakes_at_its_time_also_when_it_comes_while_all_sleep) {
    auto shortest = Milliseconds::max();
    for (int round = 0; round < 5; ++round) {
        const auto start = std::chrono::steady_clock::now();
        Waiters waiters(conninfos(1));
        ASSERT_TRUE(all_sleep(1));
        database().query("SELECT FROM enqueue_job('a', 'later', run_at => now() + interval '20 ms')");
        EXPECT_TRUE(have_returned(waiters, 1));
        shortest = std::min(
            shortest, std::chrono::duration_cast<Milliseconds>(std::chrono::steady_clock::now() - start));
        claim(database(), 10);
    }
    EXPECT_LT(shortest, Milliseconds(900));
}

TEST_F(Wait, a_waiter_that_is_cancelled_after_it_was_woken_wakes_another) {
    Waiters first(conninfos(1));
    ASSERT_TRUE(all_sleep(1));
    Waiters last(conninfos(1)); // the one that came last is woken first
    ASSERT_TRUE(all_sleep(2));
    ASSERT_EQ(kill(last.backend(0), SIGSTOP), 0);
    enqueue(database(), "work", 1, 1);
    database().query("SELECT pg_cancel_backend($1)", {std::to_string(last.backend(0))});
    ASSERT_EQ(kill(last.backend(0), SIGCONT), 0);
    EXPECT_TRUE(have_returned(last, 1));
    EXPECT_EQ(last.result(0), "57014");
    EXPECT_TRUE(have_returned(first, 1));
    EXPECT_EQ(first.result(0), "t");
    wake_all();
}

/// Roles that are bound to a tenant, for one test: they are the cluster's, not the database's.
class BoundWait : public Wait {
protected:
    void SetUp() override {
        Wait::SetUp();
        if (IsSkipped())
            return;
        for (const char *tenant : {"a", "b"}) {
            database().query(fmt::format("CREATE ROLE waiter_{} LOGIN", tenant));
            database().query(fmt::format("SELECT grant_queue_access('waiter_{0}', 'worker', '{0}')", tenant));
        }
    }

    void TearDown() override {
        if (!IsSkipped())
            for (const char *role : {"waiter_a", "waiter_b"})
                database().query(fmt::format("DROP OWNED BY {0} CASCADE; DROP ROLE {0}", role));
        Wait::TearDown();
    }
};

TEST_F(BoundWait, a_waiter_that_is_bound_to_a_tenant_is_woken_for_its_jobs_only) {
    const std::string a = conninfo() + " user=waiter_a", b = conninfo() + " user=waiter_b";
    Waiters waiters({a, b, a, b});
    ASSERT_TRUE(all_sleep(4));
    database().query("SELECT FROM enqueue_job('b', 'work')");
    EXPECT_TRUE(have_returned(waiters, 1));
    EXPECT_EQ(waiters.result(1) + waiters.result(3), "t");
    database().query("SELECT FROM enqueue_job('a', 'work')");
    EXPECT_TRUE(have_returned(waiters, 2));
    EXPECT_EQ(waiters.result(0) + waiters.result(2), "t");
    EXPECT_TRUE(all_sleep(2));
    wake_all();
    EXPECT_TRUE(have_returned(waiters, 4));
}

// -------------------------------------------------------------------------------------- no wake-up is lost

/// What workers of one run have done.
struct Tally {
    std::atomic<int> completed{0}, woken{0};
    std::atomic<bool> stop{false};
    std::mutex mutex;
    std::vector<std::string> errors;
};

/// Works as docs/workers.md tells a worker to: it claims until there is nothing, then waits. When it is cancelled or
/// terminated meanwhile, it begins again.
class Worker {
public:
    Worker(const std::string &conninfo, std::uint64_t seed, Tally &tally)
        : database_(conninfo, "hammer"), random_(seed), tally_(tally) {}

    void run() {
        while (!tally_.stop) {
            try {
                step();
            } catch (const DatabaseError &error) {
                if (is_interruption(error))
                    continue;
                const std::lock_guard<std::mutex> lock(tally_.mutex);
                tally_.errors.emplace_back(error.what());
                return;
            }
        }
    }

private:
    static bool is_interruption(const DatabaseError &error) {
        return error.sqlstate() == "57014" || error.connection_lost();
    }

    /// Else the job would wait for its lease to end.
    void finish(const ClaimedJobs &jobs) {
        for (;;) {
            try {
                tally_.completed += static_cast<int>(complete(database_, jobs.ids, jobs.lock_token).size());
                return;
            } catch (const DatabaseError &error) {
                if (!is_interruption(error))
                    throw;
            }
        }
    }

    void step() {
        const auto most = 1 + random_() % 3;
        const ClaimedJobs jobs = claim(database_, static_cast<int>(most));
        if (!jobs.ids.empty() && random_() % 16 == 0)
            database_.query("SELECT release_jobs($1, $2)", {id_array(jobs.ids), jobs.lock_token});
        else if (!jobs.ids.empty())
            finish(jobs);
        else if (database_.scalar(kWait).value() == "t")
            ++tally_.woken;
    }

    Database database_;
    std::mt19937_64 random_;
    Tally &tally_;
};

class WaitHammer : public Wait {
protected:
    void SetUp() override {
        Wait::SetUp();
        if (!IsSkipped()) // a worker may be terminated with jobs in its hands
            database().query(fmt::format("ALTER DATABASE {} SET fairq.lease_timeout = '300 ms'",
                                         database().scalar("SELECT current_database()").value()));
    }

    /// Workers do what `produce` brings, all of it; it returns how many jobs that is.
    void run(const std::function<int()> &produce) {
        const std::uint64_t seed = std::random_device{}();
        std::cout << "seed " << seed << std::endl;
        std::vector<std::thread> workers;
        for (int i = 0; i < kWaiters; ++i)
            workers.emplace_back(
                [&, i] { Worker(conninfo(), seed + static_cast<std::uint64_t>(i), tally_).run(); });
        EXPECT_TRUE(completed(produce()));
        tally_.stop = true;
        EXPECT_TRUE(eventually(kPatience, [&] {
            wake_all();
            return number(database(),
                          "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'fairq hammer' "
                          "AND query LIKE 'CALL%' AND state = 'active'") == 0;
        }));
        for (std::thread &worker : workers)
            worker.join();
        EXPECT_EQ(tally_.errors, std::vector<std::string>{});
        EXPECT_EQ(jobs_with_status(database(), "queued"), 0);
    }

    /// Whether so many jobs are done before the test loses patience; without a query, so that workers fall
    /// asleep.
    bool completed(int jobs) const {
        const auto deadline = std::chrono::steady_clock::now() + kPatience;
        while (tally_.completed < jobs && std::chrono::steady_clock::now() < deadline)
            std::this_thread::sleep_for(std::chrono::microseconds(200));
        return tally_.completed >= jobs;
    }

    /// One job after the other, each when the one before is done; gives up when one is not.
    int one_by_one(int jobs) {
        for (int i = 1; i <= jobs; ++i) {
            enqueue(database(), "work", 1, 1);
            if (!completed(i))
                return jobs;
        }
        return jobs;
    }

    Tally tally_;
};

TEST_F(WaitHammer, every_single_job_wakes_somebody) {
    run([&] { return one_by_one(3'000); });
    EXPECT_GT(tally_.woken, 1'000);
}

/// Brings jobs at random intervals, some of them later, some of them never; returns how many will be there.
int bring(const std::string &conninfo, std::uint64_t seed) {
    Database database(conninfo, "producer");
    std::mt19937_64 random(seed);
    int brought = 0;
    for (int round = 0; round < 400; ++round) {
        const bool later = random() % 4 == 0, undo = random() % 4 == 0;
        const int jobs = later ? 1 : 1 + static_cast<int>(random() % 4);
        database.query("BEGIN");
        if (later)
            database.query(
                "SELECT FROM enqueue_job('late', 'work', run_at => clock_timestamp() + interval '2 ms')");
        else
            enqueue(database, "work", jobs, 2);
        database.query(undo ? "ROLLBACK" : "COMMIT");
        brought += undo ? 0 : jobs;
        std::this_thread::sleep_for(std::chrono::microseconds(random() % 4000));
    }
    return brought;
}

TEST_F(WaitHammer, nobody_sleeps_while_jobs_come_from_many_sessions_at_once_or_later_or_are_rolled_back) {
    run([&] {
        std::atomic<int> jobs{0};
        std::vector<std::thread> producers;
        for (std::uint64_t n = 0; n < 4; ++n)
            producers.emplace_back([&, n] { jobs += bring(conninfo(), n); });
        for (std::thread &producer : producers)
            producer.join();
        return jobs.load();
    });
    EXPECT_GT(tally_.woken, 100);
}

TEST_F(WaitHammer, a_waiter_that_is_cancelled_or_terminated_takes_no_wake_up_with_it) {
    std::atomic<bool> stop{false};
    std::thread killer([&] {
        Database database(conninfo(), "killer");
        while (!stop) {
            database.query(
                "SELECT CASE WHEN random() < 0.95 THEN pg_cancel_backend(pid) "
                "ELSE pg_terminate_backend(pid) END FROM pg_stat_activity "
                "WHERE application_name = 'fairq hammer' AND query LIKE 'CALL%' AND state = 'active' "
                "AND random() < 0.3");
            std::this_thread::sleep_for(std::chrono::milliseconds(2));
        }
    });
    run([&] {
        const int jobs = one_by_one(500);
        stop = true;
        return jobs;
    });
    killer.join();
    EXPECT_GT(tally_.woken, 50);
}

} // namespace
