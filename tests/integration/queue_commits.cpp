// Which commits wait for the disk, and what a power cut may take: claims, but nothing that a client was told
// of. A cut is SIGKILL for all of a server whose WAL writer was stopped before, so that WAL which no commit
// waited for is in shared memory only, and gone.
#include <csignal>
#include <mutex>
#include <optional>
#include <thread>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "queue_checker.hpp"
#include "server_test.hpp"

using namespace fairq::driver;
using namespace fairq::test;

namespace {

constexpr Milliseconds kPatience{30'000};

/// A cluster of its own, on which nothing but our commits makes WAL durable.
class Commits : public ServerTest {
protected:
    std::map<std::string, std::string> settings() const override {
        return {{"fsync", "off"}, // what the kernel has got survives SIGKILL
                {"bgwriter_lru_maxpages", "0"},
                {"checkpoint_timeout", "1d"},
                {"wal_level", "minimal"}, // else the background writer writes WAL as well
                {"max_wal_senders", "0"},
                {"wal_buffers", "64MB"},
                {"wal_writer_delay", "10s"},
                {"max_prepared_transactions", "2"},
                {"fairq.lease_timeout", "1d"}};
    }

    void TearDown() override {
        if (wal_writer_ > 0)
            kill(wal_writer_, SIGCONT);
        ServerTest::TearDown();
    }

    void stop_wal_writer() {
        ASSERT_TRUE(eventually(kPatience, [&] { // never in the middle of its work, holding locks
            return database()
                       .scalar("SELECT wait_event FROM pg_stat_activity WHERE backend_type = 'walwriter'")
                       .value_or("") == "WalWriterMain";
        }));
        wal_writer_ = static_cast<pid_t>(
            number(database(), "SELECT pid FROM pg_stat_activity WHERE backend_type = 'walwriter'"));
        ASSERT_EQ(kill(wal_writer_, SIGSTOP), 0);
    }

    void cut_power() {
        const Rows processes = database().query("SELECT pid FROM pg_stat_activity");
        kill(server_pid(), SIGKILL);
        for (const Row &row : processes)
            kill(static_cast<pid_t>(std::stoi(row[0].value())), SIGKILL);
        wal_writer_ = 0;
    }

    void complete_the_rest(Replies &replies) {
        for (ClaimedJobs jobs = claim(database(), 1000); !jobs.ids.empty(); jobs = claim(database(), 1000)) {
            const std::vector<std::int64_t> accepted = complete(database(), jobs.ids, jobs.lock_token);
            replies.completed.insert(replies.completed.end(), accepted.begin(), accepted.end());
        }
    }

private:
    pid_t wal_writer_ = 0;
};

// -------------------------------------------------------------------------------------- which commits wait

const std::string kClaim = "SELECT count(*) FROM claim_queued_jobs('w', 2)";
const std::string kInsert = "INSERT INTO notes VALUES ('x')";
const std::string kDone = "(SELECT array_agg(id) FROM job_live WHERE locked_by = 'w'), "
                          "(SELECT max(lock_token) FROM job_live WHERE locked_by = 'w')";
const std::string kToken = "SELECT heartbeat_jobs(max(lock_token)) FROM job_live";

struct Case {
    std::string what;
    std::vector<std::string> statements;
};

class WhoWaits : public Commits {
protected:
    void SetUp() override {
        Commits::SetUp();
        if (IsSkipped())
            return;
        database().query("CREATE TABLE notes (note text)");
        database().query(
            "CREATE FUNCTION claim_or_note(error boolean) RETURNS void LANGUAGE plpgsql AS $$ "
            "BEGIN PERFORM claim_queued_jobs('w', 2); "
            "IF error THEN PERFORM 1 / 0; END IF; "
            "EXCEPTION WHEN division_by_zero THEN INSERT INTO notes VALUES ('no claim'); END $$");
        enqueue(database(), "plain", 400, 4);
        worker_.emplace(conninfo(), "worker");
        // For plans and catalogs: a session that reads a page may prune it, which writes WAL.
        worker_->query(kClaim);
        worker_->query("SELECT count(*) FROM complete_and_claim_jobs(ARRAY[4711], 1, 'w', 2)");
        worker_->query("SELECT claim_or_note(true)");
        stop_wal_writer();
        worker_->query(kInsert); // all until now
    }

    void TearDown() override {
        worker_.reset();
        Commits::TearDown();
    }

    Database &worker() { return *worker_; }

    /// What is durable, and what has been written.
    std::string position(const char *which) {
        return database().scalar(fmt::format("SELECT pg_current_wal_{}_lsn()", which)).value();
    }

    void expect(bool waits, const Case &one) {
        const std::string durable = position("flush"), written = position("insert");
        for (const std::string &statement : one.statements)
            worker_->query(statement);
        EXPECT_NE(position("insert"), written) << one.what << ": nothing was written";
        EXPECT_EQ(position("flush") != durable, waits) << one.what;
    }
    void expect_no_wait(const std::vector<Case> &cases) {
        for (const Case &one : cases)
            expect(false, one);
    }
    void expect_wait(const std::vector<Case> &cases) {
        for (const Case &one : cases)
            expect(true, one);
    }

private:
    std::optional<Database> worker_;
};

TEST_F(WhoWaits, not_a_transaction_that_has_only_claimed) {
    expect_no_wait(
        {{"a claim", {kClaim}},
         {"a claim in a block", {"BEGIN", kClaim, "COMMIT"}},
         {"two claims", {"BEGIN", kClaim, kClaim, "COMMIT"}},
         {"after a query", {"BEGIN", "SELECT count(*) FROM notes", kClaim, "COMMIT"}},
         {"in a savepoint", {"BEGIN", "SAVEPOINT s", kClaim, "RELEASE s", "COMMIT"}},
         {"in a function", {"SELECT claim_or_note(false)"}},
         {"with a NOTIFY", {"BEGIN", kClaim, "NOTIFY claimed", "COMMIT"}},
         {"with remote_apply", {"SET synchronous_commit = remote_apply", kClaim, "RESET synchronous_commit"}},
         {"nothing done yet", {"SELECT count(*) FROM complete_and_claim_jobs(NULL, NULL, 'w', 2)"}},
         {"nothing accepted", {"SELECT count(*) FROM complete_and_claim_jobs(ARRAY[4711], 1, 'w', 2)"}}});
    EXPECT_EQ(worker().scalar("SHOW synchronous_commit").value(), "on");
    expect(true, {"the next transaction", {kInsert}});
}

TEST_F(WhoWaits, everybody_else) {
    expect_wait({{"an INSERT", {kInsert}},
                 {"an enqueue", {"SELECT enqueue_job('a', 'plain')"}},
                 {"a heartbeat", {kToken}},
                 {"a completion", {"SELECT count(*) FROM complete_jobs(" + kDone + ")"}},
                 {"a completion and a claim",
                  {kClaim, "SELECT count(*) FROM complete_and_claim_jobs(" + kDone + ", 'w', 2)"}},
                 {"a claim, then more", {"BEGIN", kClaim, kInsert, "COMMIT"}},
                 {"a claim after something", {"BEGIN", kInsert, kClaim, "COMMIT"}},
                 {"a claim in a transaction that has a name",
                  {"BEGIN", "SELECT pg_current_xact_id()", kClaim, "COMMIT"}},
                 {"something between claims", {"BEGIN", kClaim, kInsert, kClaim, "COMMIT"}},
                 {"a completion in the claim's transaction",
                  {"BEGIN", kClaim, "SELECT count(*) FROM complete_jobs(" + kDone + ")", "COMMIT"}},
                 {"one statement",
                  {"WITH claimed AS (SELECT * FROM claim_queued_jobs('w', 2)) "
                   "INSERT INTO notes SELECT job_type FROM claimed"}},
                 {"a DO block",
                  {"DO $$ BEGIN PERFORM claim_queued_jobs('w', 2); INSERT INTO notes VALUES ('x'); END $$"}},
                 {"instead of a claim that failed", {"SELECT claim_or_note(true)"}},
                 {"in a savepoint", {"BEGIN", kClaim, "SAVEPOINT s", kInsert, "RELEASE s", "COMMIT"}},
                 {"a message for replicas",
                  {"BEGIN", kClaim, "SELECT pg_logical_emit_message(true, 'x', 'x')", "COMMIT"}},
                 {"a prepared transaction", {"BEGIN", kClaim, "PREPARE TRANSACTION 'p'"}},
                 {"its commit", {"COMMIT PREPARED 'p'"}},
                 {"who says so", {"SET fairq.async_claims = off", kClaim, "RESET fairq.async_claims"}}});
}

TEST_F(WhoWaits, claims_on_which_more_hangs) {
    for (const char *limits :
         {"'capped', max_concurrency => 5", "'rated', rate_per_second => 1000000, burst => 1000"})
        worker().query(fmt::format("SELECT set_tenant_limits({})", limits));
    worker().query("TRUNCATE job_live, job_leases");
    for (const char *job :
         {"'capped', 'plain'", "'rated', 'plain'", "'keyed', 'plain', concurrency_key => 'k'"}) {
        worker().query(fmt::format("SELECT enqueue_job({})", job));
        expect(true, {job, {kClaim}});
        EXPECT_EQ(jobs_with_status(database(), "queued"), 0) << job;
    }
    worker().query("SELECT enqueue_job('a', 'plain')");
    worker().query("SELECT create_pipeline_run('a', 'nightly')");
    worker().query("UPDATE pipeline_runs SET advanced_at = now()");
    expect(true, {"a pipeline's step", {"SELECT count(*) FROM claim_queued_jobs('w', 100)"}});
    worker().query("CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'");
    worker().query("CREATE TRIGGER note BEFORE UPDATE ON job_live FOR EACH ROW EXECUTE FUNCTION note()");
    worker().query("SELECT enqueue_job('a', 'plain')");
    expect(true, {"a trigger", {kClaim}});
    EXPECT_EQ(jobs_with_status(database(), "queued"), 0);
}

// ------------------------------------------------------------------------------------------ power cuts

class PowerCuts : public Commits {};

TEST_F(PowerCuts, take_the_claims_that_nothing_followed_and_no_others) {
    Replies replies;
    replies.enqueued = enqueue(database(), "plain", 100, 10);
    stop_wal_writer();
    const ClaimedJobs first = claim(database(), 10);
    replies.completed = complete(database(), {first.ids.begin(), first.ids.begin() + 5}, first.lock_token);
    const ClaimedJobs second = claim(database(), 10);
    ASSERT_EQ(jobs_with_status(database(), "locked"), 15);
    cut_power();
    ASSERT_TRUE(restart_server());
    EXPECT_EQ(jobs_with_status(database(), "completed"), 5);
    EXPECT_EQ(jobs_with_status(database(), "locked"), 5) << "its worker was told of completions";
    EXPECT_EQ(number(database(), "SELECT count(*) FROM job_live WHERE attempts = 0"), 90)
        << "as if never claimed";
    EXPECT_EQ(complete(database(), second.ids, second.lock_token).size(), 0u);
    const std::vector<std::int64_t> rest = complete(database(), first.ids, first.lock_token);
    EXPECT_EQ(rest.size(), 5u) << "the lease outlives the cut";
    replies.completed.insert(replies.completed.end(), rest.begin(), rest.end());
    complete_the_rest(replies);
    EXPECT_EQ(findings(database(), replies), std::vector<std::string>{});
    EXPECT_EQ(metrics_are_wrong(database()), "");
}

// Else a job whose handler brings down the server would never run out of attempts.
TEST_F(PowerCuts, take_no_claim_of_a_tick) {
    register_gated_handler(database());
    for (int i = 0; i < 2; ++i) // the first ones make partitions, and prune pages of catalogs: both are WAL
        database().query("SELECT run_job_queue_parallel(2)");
    enqueue(database(), "gated", 10, 2);
    close_gate(database());
    stop_wal_writer();
    std::thread tick([&] {
        try {
            Database(conninfo(), "caller").query("SELECT run_job_queue_parallel(2)");
        } catch (const DatabaseError &) { // it goes with the server
        }
    });
    EXPECT_TRUE(wait_for_handlers_at_gate(database(), 2));
    cut_power();
    tick.join();
    ASSERT_TRUE(restart_server());
    EXPECT_EQ(number(database(), "SELECT count(*) FROM job_live WHERE status = 'locked' AND attempts = 1"),
              10);
}

/// What a worker was told until the lights went out.
struct Answers {
    Replies replies;
    std::vector<std::int64_t> in_doubt; ///< completions that were asked for and not answered
};

/// Enqueues, claims and completes, by both ways in turn, until its connection is lost.
class Worker {
public:
    explicit Worker(const std::string &conninfo) : database_(conninfo, "worker") {}

    Answers run() {
        try {
            for (int round = 0;; ++round) {
                add(answers_.replies.enqueued, enqueue(database_, "plain", 20, 20));
                round % 2 == 0 ? by_two_calls() : by_one_call();
            }
        } catch (const DatabaseError &error) {
            if (!error.connection_lost())
                throw;
        }
        return answers_;
    }

private:
    static void add(std::vector<std::int64_t> &to, const std::vector<std::int64_t> &ids) {
        to.insert(to.end(), ids.begin(), ids.end());
    }

    void by_two_calls() {
        const ClaimedJobs jobs = claim(database_, 10, 5);
        answers_.in_doubt = jobs.ids;
        add(answers_.replies.completed,
            jobs.ids.empty() ? jobs.ids : complete(database_, jobs.ids, jobs.lock_token));
        answers_.in_doubt.clear();
    }

    void by_one_call() {
        ClaimedJobs jobs = claim(database_, 10, 5);
        for (int i = 0; i < 3 && !jobs.ids.empty(); ++i) {
            answers_.in_doubt = jobs.ids;
            const Rows next =
                database_.query("SELECT id, lock_token FROM complete_and_claim_jobs($1, $2, 'w', 10, 5)",
                                {id_array(jobs.ids), jobs.lock_token});
            add(answers_.replies.completed, jobs.ids);
            answers_.in_doubt.clear();
            jobs = {};
            for (const Row &row : next)
                jobs.ids.push_back(std::stoll(row[0].value())), jobs.lock_token = row[1].value();
        }
    }

    Database database_;
    Answers answers_;
};

/// Those of the ids that a query does not find.
std::int64_t missing(Database &database, const std::vector<std::int64_t> &ids, const std::string &table) {
    return std::stoll(database
                          .scalar(fmt::format("SELECT count(*) FROM unnest($1::bigint[]) AS a (id) "
                                              "WHERE NOT EXISTS (SELECT FROM {} AS j WHERE j.id = a.id)",
                                              table),
                                  {id_array(ids)})
                          .value());
}

TEST_F(PowerCuts, take_nothing_that_busy_workers_were_told) {
    constexpr int kWorkers = 6, kEnough = 3000;
    stop_wal_writer();
    std::mutex mutex;
    Answers answers;
    std::vector<std::thread> threads;
    for (int i = 0; i < kWorkers; ++i)
        threads.emplace_back([&] {
            const Answers own = Worker(conninfo()).run();
            const std::lock_guard<std::mutex> lock(mutex);
            const auto add = [](auto &to, const auto &from) {
                to.insert(to.end(), from.begin(), from.end());
            };
            add(answers.replies.enqueued, own.replies.enqueued);
            add(answers.replies.completed, own.replies.completed);
            add(answers.in_doubt, own.in_doubt);
        });
    EXPECT_TRUE(eventually(kPatience, [&] { return jobs_with_status(database(), "completed") >= kEnough; }));
    cut_power();
    for (std::thread &thread : threads)
        thread.join();
    ASSERT_TRUE(restart_server());
    EXPECT_GE(answers.replies.completed.size(), std::size_t{kEnough} - kWorkers * 10);
    EXPECT_EQ(missing(database(), answers.replies.enqueued, "job_queue"), 0);
    EXPECT_EQ(missing(database(), answers.replies.completed,
                      "(SELECT id FROM job_history WHERE status = 'completed')"),
              0);
    // What was not answered may have happened or not; the tables say which.
    Replies &replies = answers.replies;
    for (const Row &row : database().query("SELECT id FROM job_queue WHERE id <> ALL ($1::bigint[])",
                                           {id_array(replies.enqueued)}))
        replies.enqueued.push_back(std::stoll(row[0].value()));
    for (const Row &row :
         database().query("SELECT id FROM job_history WHERE status = 'completed' AND id = ANY ($1::bigint[]) "
                          "AND id <> ALL ($2::bigint[])",
                          {id_array(answers.in_doubt), id_array(replies.completed)}))
        replies.completed.push_back(std::stoll(row[0].value()));
    database().query("SELECT reclaim_stuck_jobs('1 microsecond', 10000)");
    complete_the_rest(replies);
    EXPECT_EQ(findings(database(), replies), std::vector<std::string>{});
    EXPECT_EQ(metrics_are_wrong(database()), "");
}

} // namespace
