// The real thing, in minutes: the smoke profile of the scaling plan through pg_cron, as `make demo` runs it,
// and a run in which pg_cron uses connections.
#include <fstream>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "interrupt.hpp"
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
