// The real thing, in minutes: the smoke profile of the scaling plan through pg_cron, as `make demo` runs it,
// a run in which pg_cron uses connections, and a handler that runs from one minute into the next.
#include <fstream>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "interrupt.hpp"
#include "queue_checker.hpp"
#include "test_cluster.hpp"

using namespace fairq::driver;
using namespace fairq::test;

namespace {

constexpr Milliseconds kSmoke{300'000};
constexpr Milliseconds kOnePhase{150'000};

class RealCron : public testing::Test {
protected:
    void SetUp() override {
        if (interrupted())
            GTEST_SKIP() << "stopped by a signal";
    }
};

} // namespace

TEST_F(RealCron, the_scaling_plan_passes_in_its_smoke_profile) {
    const TemporaryFolder folder;
    const std::string summary = folder.path() + "/summary.json";
    FairqProcess fairq({"run", "scaling", "--profile", "smoke", "--json", summary});
    EXPECT_EQ(fairq.exit_code(kSmoke), 0) << fairq.output();
    EXPECT_EQ(fairq.last_line(), "19 passed, 0 failed") << fairq.output();
    EXPECT_TRUE(fairq.folder().entries().empty());
    std::ifstream file(summary);
    const auto json = nlohmann::json::parse(file);
    EXPECT_EQ(json["verdict"], "pass");
    EXPECT_EQ(json["ledger"]["ok_count"], 3700);
    EXPECT_EQ(json["phases"][0]["ticks"], 20) << "one worker takes 50 jobs a tick";
    EXPECT_EQ(json["phases"][1]["ticks"], 5) << "four take 200";
}

TEST_F(RealCron, workers_run_through_connections_as_well) {
    FairqProcess fairq({"run", std::string(FAIRQ_TEST_PLANS) + "/minute.toml"});
    EXPECT_EQ(fairq.exit_code(kOnePhase), 0) << fairq.output();
    EXPECT_EQ(fairq.last_line(), "12 passed, 0 failed") << fairq.output();
}

// pg_cron starts no run of a job while one runs.
TEST_F(RealCron, starts_the_next_minutes_run_although_a_handler_of_the_last_one_still_runs) {
    constexpr Milliseconds kTwoMinutes{125'000};
    Cluster cluster{ClusterOptions{}};
    Database database(cluster.conninfo(), "test");
    register_gated_handler(database);
    database.query("CREATE FUNCTION do_quickly(job job_queue) RETURNS void LANGUAGE sql AS ''");
    database.query("SELECT register_job_handler('quick', 'do_quickly(job_queue)')");
    close_gate(database);
    enqueue(database, "gated", 1, 1);
    database.query("SELECT cron.schedule('ticks', '* * * * *', "
                   "'CALL public.run_job_queue_ticks(2, ''1 second'', ''5 seconds'')')");
    const auto runs = [&] {
        return number(database, "SELECT count(*) FROM cron.job_run_details WHERE status = 'succeeded'");
    };
    ASSERT_TRUE(eventually(kTwoMinutes, [&] { return runs() == 1; }))
        << "the run ends, although its handler does not";
    ASSERT_TRUE(wait_for_handlers_at_gate(database, 1));
    enqueue(database, "quick", 3, 3);
    EXPECT_TRUE(eventually(kTwoMinutes, [&] { return jobs_with_status(database, "completed") == 3; }))
        << "in the run of the next minute";
    EXPECT_EQ(jobs_with_status(database, "locked"), 1);
    open_gate(database);
    EXPECT_TRUE(eventually(kTwoMinutes, [&] { return jobs_with_status(database, "completed") == 4; }));
    EXPECT_EQ(number(database, "SELECT max(attempts) FROM job_history"), 1);
    database.query("SELECT cron.unschedule('ticks')");
    EXPECT_TRUE(ticks_have_ended(database));
}
