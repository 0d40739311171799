// The workers of docs/workers, as a user copies them: real processes that are killed, told to end, cut off from the
// server, and behind a PgBouncer. What a job writes is there once, whatever happens.
#include <csignal>
#include <filesystem>
#include <fstream>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "queue_checker.hpp"
#include "server_test.hpp"

using namespace fairq::driver;
using namespace fairq::test;

namespace {

constexpr Milliseconds kPatience{30'000};
constexpr long kGate = 4711; // the advisory lock that charges of the tenant "slow" wait for

// How a worker is started; empty when this machine cannot run it.
std::vector<std::string> worker_command(const std::string &language) {
    const std::string folder = FAIRQ_WORKERS_TO_COPY;
    if (language == "cpp")
        return {FAIRQ_WORKER_CPP};
    if (language == "python")
        return {"/usr/bin/python3", folder + "/worker.py"};
    // A module is looked for beside the file that imports it, so the worker is copied, as a user would.
    const std::string place = FAIRQ_NODE_PARTS;
    if (!std::filesystem::exists(place + "/node_modules/pg"))
        return {};
    std::filesystem::copy_file(folder + "/worker.mjs", place + "/worker.mjs",
                               std::filesystem::copy_options::overwrite_existing);
    return {"/usr/bin/env", "node", place + "/worker.mjs"};
}

Identity this_user() {
    return {geteuid(), getegid(), ""};
}

class WorkersToCopy : public ServerTest, public testing::WithParamInterface<const char *> {
protected:
    std::map<std::string, std::string> settings() const override {
        return {{"fairq.lease_timeout", "2s"}, {"fairq.backoff_base", "1ms"}, {"fairq.backoff_max", "1ms"}};
    }

    void SetUp() override {
        if (worker_command(GetParam()).empty())
            GTEST_SKIP() << "there is no node with the package pg";
        ServerTest::SetUp();
        if (IsSkipped())
            return;
        database().query("CREATE TABLE charges (job_id bigint, tenant_id text, cents int)");
        // The charge of the tenant "slow" waits at the gate: so a test decides when it ends.
        database().query(
            fmt::format("CREATE FUNCTION wait_at_gate() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
                        "IF NEW.tenant_id = 'slow' THEN PERFORM pg_advisory_xact_lock_shared({}); END IF; "
                        "RETURN NEW; END $$",
                        kGate));
        database().query(
            "CREATE TRIGGER gate BEFORE INSERT ON charges FOR EACH ROW EXECUTE FUNCTION wait_at_gate()");
    }

    Process start(const std::string &to) {
        std::vector<std::string> arguments = worker_command(GetParam());
        arguments.push_back(GetParam() == std::string("node") ? as_url(to) : to);
        arguments.push_back("worker");
        return Process::start({arguments, folder_.path() + "/worker.log"}, this_user());
    }
    Process start() { return start(conninfo()); }

    std::string log() const {
        std::ifstream file(folder_.path() + "/worker.log");
        return {std::istreambuf_iterator<char>(file), {}};
    }

    void enqueue(const std::string &tenant, int jobs) {
        database().query(fmt::format("SELECT count(enqueue_job('{}', 'charge', '{{\"cents\": 5}}')) "
                                     "FROM generate_series(1, {})",
                                     tenant, jobs));
    }

    // Every job is completed, and its charge is there once.
    testing::AssertionResult all_charged_once(int jobs) {
        const auto count = [&](const char *query) { return number(database(), query); };
        if (!eventually(kPatience, [&] {
                return count("SELECT count(*) FROM job_queue WHERE status = 'completed'") == jobs;
            }))
            return testing::AssertionFailure()
                   << count("SELECT count(*) FROM job_queue WHERE status = 'completed'") << " of " << jobs
                   << " jobs are completed; the worker says: " << log();
        const auto charges = count("SELECT count(*) FROM charges");
        const auto charged = count("SELECT count(DISTINCT job_id) FROM charges");
        return charges == jobs && charged == jobs
                   ? testing::AssertionSuccess()
                   : testing::AssertionFailure() << charges << " charges for " << charged << " jobs";
    }

    bool waits_at_gate() {
        return eventually(kPatience, [&] {
            return number(database(),
                          "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted") > 0;
        });
    }

    // Closed by a session of its own until open_gate().
    void close_gate() {
        gate_.emplace(conninfo(), "gate");
        gate_->query(fmt::format("SELECT pg_advisory_lock({})", kGate));
    }
    void open_gate() { gate_.reset(); }

    void expect_good_end(Process &worker) {
        worker.signal(SIGTERM);
        ASSERT_TRUE(worker.wait_for(kPatience)) << log();
        EXPECT_EQ(worker.wait(), 0) << log();
    }

    const TemporaryFolder &folder() const { return folder_; }

private:
    // node's pg takes a URL, not the words of libpq.
    static std::string as_url(const std::string &conninfo) {
        const auto value = [&](const std::string &key) {
            const auto from = conninfo.find(key + "=") + key.size() + 1;
            std::string found = conninfo.substr(from, conninfo.find(' ', from) - from);
            found.erase(std::remove(found.begin(), found.end(), '\''), found.end());
            return found;
        };
        return fmt::format("postgresql://{}@localhost:{}/{}?host={}", value("user"), value("port"),
                           value("dbname"), value("host"));
    }

    TemporaryFolder folder_;
    std::optional<Database> gate_;
};

TEST_P(WorkersToCopy, DoAllJobsAndEndWhenTold) {
    Process worker = start();
    enqueue("a", 25);
    enqueue("b", 25);
    EXPECT_TRUE(all_charged_once(50));
    enqueue("a", 1); // by now it waits
    EXPECT_TRUE(all_charged_once(51));
    expect_good_end(worker);
}

TEST_P(WorkersToCopy, FinishTheJobThatRunsAndGiveTheOthersBack) {
    close_gate();
    enqueue("slow", 3);
    Process worker = start();
    ASSERT_TRUE(waits_at_gate()) << log();
    worker.signal(SIGTERM);
    open_gate();
    ASSERT_TRUE(worker.wait_for(kPatience)) << log();
    EXPECT_EQ(worker.wait(), 0) << log();
    EXPECT_EQ(number(database(), "SELECT count(*) FROM charges"), 1);
    EXPECT_EQ(number(database(), "SELECT count(*) FROM job_queue WHERE status = 'queued' AND attempts = 0"),
              2);
}

TEST_P(WorkersToCopy, AKilledWorkerLosesNothing) {
    close_gate();
    enqueue("slow", 3);
    Process killed = start();
    ASSERT_TRUE(waits_at_gate()) << log();
    killed.kill();
    open_gate();
    Process worker = start();
    EXPECT_TRUE(all_charged_once(3));
    expect_good_end(worker);
}

TEST_P(WorkersToCopy, AJobWhoseLeaseIsLostIsChargedOnce) {
    close_gate();
    enqueue("slow", 1);
    Process worker = start();
    ASSERT_TRUE(waits_at_gate()) << log();
    ASSERT_TRUE(eventually(
        kPatience, [&] { return number(database(), "SELECT reclaim_stuck_jobs('1 millisecond')") == 1; }));
    open_gate();
    EXPECT_TRUE(all_charged_once(1));
    EXPECT_EQ(number(database(), "SELECT max(attempts) FROM job_queue"), 2);
    expect_good_end(worker);
}

TEST_P(WorkersToCopy, ACancelledJobHasNoEffect) {
    close_gate();
    enqueue("slow", 1);
    Process worker = start();
    ASSERT_TRUE(waits_at_gate()) << log();
    database().query("SELECT cancel_job(id) FROM job_queue");
    open_gate();
    enqueue("a", 1);
    ASSERT_TRUE(eventually(kPatience, [&] { return number(database(), "SELECT count(*) FROM charges") > 0; }))
        << log();
    EXPECT_EQ(number(database(), "SELECT count(*) FROM charges WHERE tenant_id = 'slow'"), 0);
    expect_good_end(worker);
}

TEST_P(WorkersToCopy, AJobThatTheWorkerCannotRunIsDeadAndSaysWhy) {
    database().query("SELECT enqueue_job('a', 'no_such_type', max_attempts => 1)");
    enqueue("a", 1);
    Process worker = start();
    ASSERT_TRUE(eventually(kPatience, [&] {
        return number(database(),
                      "SELECT count(*) FROM job_queue WHERE status = 'dead' AND last_error <> ''") == 1;
    })) << log();
    expect_good_end(worker);
}

TEST_P(WorkersToCopy, ARestartedServerIsFoundAgain) {
    enqueue("a", 20);
    Process worker = start();
    EXPECT_TRUE(all_charged_once(20));
    ASSERT_TRUE(restart_server());
    enqueue("b", 20);
    EXPECT_TRUE(all_charged_once(40));
    expect_good_end(worker);
}

TEST_P(WorkersToCopy, WorkBehindAPoolerInTransactionMode) {
    const auto value = [&](const std::string &key) { // of conninfo()
        const std::string all = conninfo() + " ";
        const auto from = all.find(key + "=") + key.size() + 1;
        std::string found = all.substr(from, all.find(' ', from) - from);
        found.erase(std::remove(found.begin(), found.end(), '\''), found.end());
        return found;
    };
    const TemporaryFolder place;
    const Identity identity = server_identity();
    std::ofstream(place.path() + "/pgbouncer.ini")
        << "[databases]\n"
        << fmt::format("* = host={} port={} user={}\n", value("host"), value("port"), value("user"))
        << "[pgbouncer]\nlisten_port = 6432\nlisten_addr =\nauth_type = any\npool_mode = transaction\n"
        << fmt::format("unix_socket_dir = {}\n", value("host"));
    Process bouncer =
        Process::start({{FAIRQ_PGBOUNCER, place.path() + "/pgbouncer.ini"}, "/dev/null"}, identity);
    enqueue("a", 25);
    Process worker = start(
        fmt::format("host={} port=6432 user={} dbname={}", value("host"), value("user"), value("dbname")));
    EXPECT_TRUE(all_charged_once(25));
    enqueue("b", 25);
    EXPECT_TRUE(all_charged_once(50));
    expect_good_end(worker);
    bouncer.signal(SIGINT);
    EXPECT_TRUE(bouncer.wait_for(kPatience));
}

INSTANTIATE_TEST_SUITE_P(Each, WorkersToCopy, testing::Values("python", "node", "cpp"),
                         [](const auto &of) { return std::string(of.param); });

} // namespace
