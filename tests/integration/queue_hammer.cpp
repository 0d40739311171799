// Many sessions on one queue, doing all that workers do: every job is completed exactly once. And the checker
// that says so can see a loss and a duplicate.
#include <atomic>
#include <exception>
#include <future>
#include <mutex>
#include <random>
#include <thread>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "queue_checker.hpp"
#include "queue_troubles.hpp"

using namespace fairq::driver;
using namespace fairq::test;

namespace {

constexpr int kSessions = 16;
constexpr int kJobs = 100'000;
constexpr int kTroubledJobs = 9'000; // a multiple of kTypes
constexpr int kTenants = 1'000;
constexpr double kTroubledSeconds = 3;
constexpr Milliseconds kPatience{60'000};

/// A worker that does everything to its jobs that a worker may do, in an order that its seed decides.
class Session {
public:
    Session(const std::string &conninfo, const HammerPlan &plan, std::uint64_t number)
        : database_(conninfo, "hammer"), random_(plan.seed + number),
          new_sessions_(plan.troubles.new_sessions) {}

    const std::vector<std::int64_t> &completed() const { return completed_; }

    void run() {
        const auto deadline = std::chrono::steady_clock::now() + kPatience;
        while (std::chrono::steady_clock::now() < deadline)
            if (!step() && !work_is_left())
                return;
        throw std::runtime_error("the queue was not drained in time");
    }

private:
    int up_to(int most) { return std::uniform_int_distribution<int>(1, most)(random_); }

    /// False when there was nothing to claim.
    bool step() {
        if (new_sessions_)
            database_.disconnect();
        const int what = up_to(100);
        if (what <= 10)
            return claim_and_roll_back();
        const bool savepoint = what <= 15;
        if (savepoint) {
            database_.query("BEGIN");
            database_.query("SAVEPOINT s");
            some();
            database_.query("ROLLBACK TO s");
        }
        const ClaimedJobs jobs = some();
        if (savepoint)
            database_.query("COMMIT");
        if (!jobs.ids.empty())
            finish(jobs, up_to(100));
        return !jobs.ids.empty();
    }

    ClaimedJobs some() { return claim(database_, up_to(100), up_to(10)); }

    bool claim_and_roll_back() {
        database_.query("BEGIN");
        const ClaimedJobs jobs = some();
        database_.query("ROLLBACK");
        return !jobs.ids.empty();
    }

    void finish(const ClaimedJobs &jobs, int what) {
        if (what <= 5) {
            database_.query("SELECT release_jobs($1, $2)", {id_array(jobs.ids), jobs.lock_token});
            return;
        }
        if (what <= 6)
            return; // never heard of again
        if (what <= 12)
            fail(jobs.ids[0], jobs.lock_token);
        if (what <= 16)
            database_.query("SELECT heartbeat_jobs($1)", {jobs.lock_token});
        if (what <= 20) {
            database_.query("BEGIN");
            complete(database_, jobs.ids, jobs.lock_token);
            database_.query("ROLLBACK");
        }
        // Sometimes in two calls, sometimes all of it a second time.
        const auto middle =
            jobs.ids.begin() + (what <= 40 ? static_cast<std::ptrdiff_t>(jobs.ids.size() / 2) : 0);
        finish_part({jobs.ids.begin(), middle}, jobs.lock_token);
        finish_part({middle, jobs.ids.end()}, jobs.lock_token);
        if (what >= 95)
            finish_part(jobs.ids, jobs.lock_token);
    }

    /// A slow session may have lost its lease to another one that reclaims.
    void fail(std::int64_t id, const std::string &lock_token) {
        try {
            database_.query("SELECT fail_job($1, $2, 'on purpose')", {std::to_string(id), lock_token});
        } catch (const DatabaseError &error) {
            if (error.sqlstate() != "JQ001")
                throw;
        }
    }

    void finish_part(const std::vector<std::int64_t> &ids, const std::string &lock_token) {
        if (ids.empty())
            return;
        const std::vector<std::int64_t> accepted = complete(database_, ids, lock_token);
        completed_.insert(completed_.end(), accepted.begin(), accepted.end());
    }

    bool work_is_left() {
        database_.query("SELECT reclaim_stuck_jobs('200 milliseconds')");
        return number(database_, "SELECT count(*) FROM (SELECT FROM job_live LIMIT 1) AS rest") > 0;
    }

    Database database_;
    std::mt19937_64 random_;
    const bool new_sessions_; // for each claim
    std::vector<std::int64_t> completed_;
};

/// What the sessions were told, and the errors that they met.
struct Outcome {
    std::vector<std::int64_t> completed;
    std::vector<std::string> errors;
};

/// The troubles last for as long as the plan says; then they end, so that every job can be done.
void make_trouble(const std::string &conninfo, const HammerPlan &plan) {
    const auto end =
        Actor::Clock::now() + std::chrono::milliseconds(static_cast<std::int64_t>(plan.seconds * 1000));
    std::vector<std::future<void>> makers;
    for (const auto &maker : trouble_makers(conninfo, plan, end))
        makers.push_back(std::async(std::launch::async, [maker] { maker->run(); }));
    for (std::future<void> &maker : makers)
        maker.get();
    Database database(conninfo, "troubles");
    settle_troubles(database, plan);
    end_troubles(database, plan);
}

Outcome hammer(const std::string &conninfo, const HammerPlan &plan) {
    Outcome outcome;
    std::mutex mutex;
    std::vector<std::thread> threads;
    const auto start = [&](const auto &work) {
        threads.emplace_back([&, work] {
            std::string error;
            try {
                work();
            } catch (const std::exception &thrown) {
                error = thrown.what();
            }
            const std::lock_guard<std::mutex> lock(mutex);
            if (!error.empty())
                outcome.errors.push_back(error);
        });
    };
    std::vector<std::unique_ptr<Session>> sessions;
    for (int i = 0; i < plan.sessions; ++i) {
        sessions.push_back(std::make_unique<Session>(conninfo, plan, static_cast<std::uint64_t>(i)));
        start([session = sessions.back().get()] { session->run(); });
    }
    start([&] { make_trouble(conninfo, plan); });
    for (std::thread &thread : threads)
        thread.join();
    for (const auto &session : sessions)
        outcome.completed.insert(outcome.completed.end(), session->completed().begin(),
                                 session->completed().end());
    return outcome;
}

class Hammer : public DatabaseTest {
protected:
    void SetUp() override {
        DatabaseTest::SetUp();
        if (IsSkipped())
            return;
        for (const char *setting : {"fairq.backoff_base = '1ms'", "fairq.backoff_max = '20ms'"})
            database().query(fmt::format("ALTER DATABASE {} SET {}",
                                         database().scalar("SELECT current_database()").value(), setting));
    }

    Replies drained(int jobs, const Troubles &troubles = {}) {
        HammerPlan plan;
        plan.sessions = kSessions;
        plan.tenants = kTenants;
        plan.seconds = kTroubledSeconds;
        plan.seed = test_seed();
        plan.troubles = troubles;
        prepare_troubles(database(), plan);
        Replies replies;
        const int types = troubles.pauses ? kTypes : 1;
        for (int type = 0; type < types; ++type) {
            const std::vector<std::int64_t> more =
                enqueue(database(), hammered_type(type), jobs / types, kTenants);
            replies.enqueued.insert(replies.enqueued.end(), more.begin(), more.end());
        }
        Outcome outcome = hammer(conninfo(), plan);
        EXPECT_EQ(outcome.errors, std::vector<std::string>{});
        replies.completed = std::move(outcome.completed);
        return replies;
    }
};

TEST_F(Hammer, sixteen_sessions_complete_every_one_of_100000_jobs_exactly_once) {
    const std::int64_t deadlocks = number(database(), "SELECT sum(deadlocks) FROM pg_stat_database");
    const Replies replies = drained(kJobs);
    EXPECT_EQ(replies.enqueued.size(), std::size_t{kJobs});
    EXPECT_EQ(findings(database(), replies), std::vector<std::string>{});
    for (const char *error : {"on purpose", "the lease of worker%"}) // the hammer did hit
        EXPECT_GT(number(database(),
                         fmt::format("SELECT count(*) FROM job_history WHERE last_error LIKE '{}'", error)),
                  0);
    // A lease that was completed in parts is removed by the housekeeping.
    EXPECT_EQ(number(database(), "SELECT reclaim_stuck_jobs('1 microsecond')"), 0);
    EXPECT_EQ(number(database(), "SELECT count(*) FROM job_leases"), 0);
    EXPECT_EQ(number(database(), "SELECT sum(deadlocks) FROM pg_stat_database"), deadlocks);
    EXPECT_EQ(metrics_are_wrong(database()), "");
}

TEST_F(Hammer, sixteen_sessions_complete_every_job_exactly_once_in_troubles) {
    Troubles troubles;
    troubles.pauses = troubles.new_sessions = troubles.publications = troubles.partitions = true;
    const Replies replies = drained(kTroubledJobs, troubles);
    EXPECT_EQ(findings(database(), replies), std::vector<std::string>{});
    EXPECT_EQ(metrics_are_wrong(database()), "");
}

TEST_F(Hammer, has_a_checker_that_sees_a_job_that_was_lost) {
    const Replies replies = drained(500);
    ASSERT_EQ(findings(database(), replies), std::vector<std::string>{});
    database().query("DELETE FROM job_history WHERE id = $1", {std::to_string(replies.enqueued[7])});
    const std::string id = std::to_string(replies.enqueued[7]);
    EXPECT_EQ(findings(database(), replies),
              (std::vector<std::string>{"1 jobs were never completed (id " + id + ")",
                                        "1 accepted completions are not in history (id " + id + ")"}));
}

TEST_F(Hammer, has_a_checker_that_sees_a_job_that_was_done_twice) {
    Replies replies = drained(500);
    ASSERT_EQ(findings(database(), replies), std::vector<std::string>{});
    const std::string id = std::to_string(replies.enqueued[7]);
    database().query("INSERT INTO job_history SELECT * FROM job_history WHERE id = $1", {id});
    EXPECT_EQ(findings(database(), replies),
              std::vector<std::string>{"1 jobs are in history more than once (id " + id + ")"});
    replies.completed.push_back(replies.enqueued[7]);
    EXPECT_EQ(findings(database(), replies),
              (std::vector<std::string>{"1 jobs are in history more than once (id " + id + ")",
                                        "1 completions were accepted more than once (id " + id + ")"}));
}

TEST_F(Hammer, has_a_checker_that_sees_a_job_that_is_still_waiting) {
    Replies replies = drained(500);
    replies.enqueued.push_back(enqueue(database(), "late", 1, 1)[0]);
    const std::string id = std::to_string(replies.enqueued.back());
    EXPECT_EQ(findings(database(), replies),
              (std::vector<std::string>{"1 jobs were never completed (id " + id + ")",
                                        "1 jobs are left (id " + id + ")"}));
}

} // namespace
