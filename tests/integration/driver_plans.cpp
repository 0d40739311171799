// Every plan that is shipped is green in its smoke profile, and the gates that it is about turn red when what
// they stand for is broken. scaling needs pg_cron's minutes: see driver_cron.cpp.
#include <algorithm>

#include "plan/plan.hpp"
#include "report/report.hpp"
#include "test_cluster.hpp"

using namespace fairq::driver;
using namespace fairq::test;

namespace {

std::vector<std::string> plan_names() {
    std::vector<std::string> names;
    for (const char *name :
         {"caps", "checkout", "cold-start", "deep-queue", "deploy-locks", "enqueue-storm", "held-back",
          "multi-worker-claim", "rate-limit", "retry-storm", "spike", "throughput", "workers"})
        names.emplace_back(name);
    return names;
}

plan::Plan smoke(const std::string &name, const std::vector<plan::Param> &options = {}) {
    return plan::read_plan(plan::find_plan(name), {"smoke", options});
}

std::vector<std::string> red_ids(const engine::RunResult &run) {
    std::vector<std::string> ids;
    for (const judge::GateResult &result : run.gates)
        if (result.verdict == judge::Verdict::failed)
            ids.push_back(result.gate.id + " " + result.gate.metric_text);
    return ids;
}

using Ids = std::vector<std::string>;

class Plans : public DatabaseTest, public testing::WithParamInterface<std::string> {};
class BrokenPlans : public DatabaseTest {};

} // namespace

TEST_P(Plans, passes_in_its_smoke_profile) {
    const plan::Plan plan = smoke(GetParam());
    const engine::RunResult run = run_quietly(plan, conninfo());
    EXPECT_EQ(run.outcome, judge::Outcome::pass) << report::text_report(run, {});
    EXPECT_EQ(database().scalar("SELECT count(*) FROM job_queue"), db::Cell("0"));
    EXPECT_EQ(
        database().scalar(
            "SELECT count(*) FROM pg_db_role_setting WHERE setdatabase = (SELECT oid FROM pg_database WHERE "
            "datname = current_database())"),
        db::Cell("0"));
}

static std::string test_name(const testing::TestParamInfo<std::string> &plan) {
    std::string name = plan.param;
    std::replace(name.begin(), name.end(), '-', '_');
    return name;
}

INSTANTIATE_TEST_SUITE_P(Shipped, Plans, testing::ValuesIn(plan_names()), test_name);

// These hurt their server, or need a short lease: they have a throw-away cluster of their own.
class HurtingPlans : public testing::TestWithParam<std::string> {};

TEST_P(HurtingPlans, passes_in_its_smoke_profile) {
    FairqProcess fairq({"run", GetParam(), "--profile", "smoke"});
    EXPECT_EQ(fairq.exit_code(Milliseconds(240'000)), 0) << fairq.output();
    EXPECT_TRUE(fairq.folder().entries().empty());
}

INSTANTIATE_TEST_SUITE_P(Shipped, HurtingPlans,
                         testing::Values("chaos", "crash-reclaim", "server-crash", "worker-churn"),
                         test_name);

TEST(PlanNames, are_all_of_the_shipped_plans) {
    std::vector<std::string> found;
    for (const std::string &path : plan::all_plans())
        found.push_back(plan::read_plan(path, {}).name);
    Ids tested = plan_names();
    tested.insert(tested.end(), {"chaos", "crash-reclaim", "scaling", "server-crash", "worker-churn"});
    std::sort(tested.begin(), tested.end());
    EXPECT_EQ(found, tested);
}

TEST_F(BrokenPlans, tenants_without_their_caps_turn_caps_red) {
    plan::Plan plan = smoke("caps");
    plan.phases[0].before.clear();
    plan.phases[0].enqueues[0].work_ms = 50;
    const engine::RunResult run = run_quietly(plan, conninfo());
    EXPECT_EQ(red_ids(run), Ids{"CAP tenant_running_max"}) << report::text_report(run, {});
    EXPECT_EQ(run.outcome, judge::Outcome::broken);
}

TEST_F(BrokenPlans, deploys_without_a_lock_turn_deploy_locks_red) {
    plan::Plan plan = smoke("deploy-locks");
    plan.phases[0].before = {R"(
ALTER FUNCTION ${schema}.claim_queued_jobs RENAME TO claim_queued_jobs_well;
CREATE FUNCTION ${schema}.claim_queued_jobs(worker text, jobs integer, cap integer) RETURNS TABLE (id bigint, lock_token bigint,
    attempts integer, locked_at timestamptz, run_at timestamptz, created_at timestamptz, tenant_id text, concurrency_key text,
    payload jsonb) LANGUAGE sql AS $f$
    SELECT j.id, j.lock_token, j.attempts, j.locked_at, j.run_at, j.created_at, j.tenant_id, 'production', j.payload
      FROM ${schema}.claim_queued_jobs_well(worker, jobs, cap) AS j
$f$)"};
    const engine::RunResult run = run_quietly(plan, conninfo());
    EXPECT_EQ(red_ids(run), Ids{"P3 key_overlaps"}) << report::text_report(run, {});
}

TEST_F(BrokenPlans, workers_that_wait_for_one_lock_turn_workers_red) {
    plan::Plan plan = smoke("workers", {{"many", "300"}});
    for (plan::Phase &phase : plan.phases)
        phase.before = {R"(
DROP FUNCTION IF EXISTS ${schema}.one_by_one CASCADE;
CREATE FUNCTION ${schema}.one_by_one() RETURNS trigger LANGUAGE plpgsql AS $f$
BEGIN
    PERFORM pg_advisory_xact_lock(42), pg_sleep(0.01);
    RETURN NULL;
END $f$;
CREATE TRIGGER one_by_one AFTER INSERT ON ${schema}.job_history FOR EACH STATEMENT EXECUTE FUNCTION ${schema}.one_by_one())"};
    const engine::RunResult run = run_quietly(plan, conninfo());
    const Ids red = red_ids(run);
    EXPECT_EQ(std::count(red.begin(), red.end(),
                         "R2 ratio(drain_jobs_per_second{phase:ten}, drain_jobs_per_second{phase:one})"),
              1)
        << report::text_report(run, {});
    EXPECT_EQ(run.outcome, judge::Outcome::fail);
}

TEST_F(BrokenPlans, a_storm_that_never_was_turns_retry_storm_red) {
    plan::Plan plan = smoke("retry-storm");
    plan.phases[0].external[0].fail = 0;
    const engine::RunResult run = run_quietly(plan, conninfo());
    EXPECT_EQ(red_ids(run), (Ids{"R3 failed_attempts", "R3 dead_letters"})) << report::text_report(run, {});
}

TEST_F(BrokenPlans, a_limit_that_is_not_there_turns_rate_limit_red) {
    plan::Plan plan = smoke("rate-limit", {{"duration", "3s"}});
    plan.phases[0].before.clear();
    const engine::RunResult run = run_quietly(plan, conninfo());
    EXPECT_EQ(red_ids(run), Ids{"M8 ratio(calls_refused{actor:greedy}, calls{actor:greedy})"})
        << report::text_report(run, {});
}

TEST_F(BrokenPlans, a_limit_that_refuses_too_much_turns_rate_limit_red) {
    plan::Plan plan = smoke("rate-limit", {{"duration", "3s"}});
    plan.phases[0].before = {"SELECT ${schema}.set_tenant_limits('tenant-1-${run_id}', "
                             "enqueue_rate_per_second => 1, enqueue_burst => 1)"};
    const engine::RunResult run = run_quietly(plan, conninfo());
    EXPECT_EQ(red_ids(run), Ids{"M8 ratio(calls_refused{actor:greedy}, calls{actor:greedy})"})
        << report::text_report(run, {});
}

TEST_F(BrokenPlans, a_checkout_that_acts_twice_turns_checkout_red) {
    plan::Plan plan = smoke("checkout", {{"duration", "2s"}});
    std::string &sql = plan.phases[0].calls[0].sql;
    const std::string key = "idempotency_key => '${key}'";
    sql.replace(sql.find(key), key.size(), "idempotency_key => '${key}' || sent");
    const engine::RunResult run = run_quietly(plan, conninfo());
    EXPECT_EQ(red_ids(run), Ids{"M7 calls_failed"}) << report::text_report(run, {});
}

TEST_F(BrokenPlans, limits_that_nobody_can_keep_turn_red) {
    using Options = std::vector<plan::Param>;
    const std::pair<const char *, Options> rows[] = {
        {"throughput", {{"least", "10000000"}}},
        {"throughput", {{"slowest", "0"}}},
        {"multi-worker-claim", {{"pickup", "0"}, {"duration", "6s"}}},
        {"enqueue-storm", {{"slowest", "0"}, {"ramp", "1s"}, {"stay", "1s"}}},
        {"checkout", {{"slowest", "0"}, {"rate", "150/s"}, {"duration", "2s"}}},
        {"rate-limit", {{"slowest", "0"}, {"duration", "5s"}}},
        {"spike", {{"slower", "0.001"}, {"calm", "3s"}, {"lasts", "1s"}}},
        {"held-back", {{"slower", "0.001"}, {"jobs", "5000"}}},
        {"deep-queue", {{"slower", "0.001"}, {"jobs", "6000"}}}};
    for (const auto &[name, options] : rows) {
        const plan::Plan plan = smoke(name, options);
        const engine::RunResult run = run_quietly(plan, conninfo());
        EXPECT_EQ(run.outcome, judge::Outcome::fail) << name << "\n" << report::text_report(run, {});
        EXPECT_EQ(red_ids(run).size(),
                  1U + (options[0].first == "slowest" && std::string(name) == "throughput" ? 1U : 0U))
            << name;
    }
}
