// The tables of actors: what they become, and every kind of mistake with what was wrong and the nearest name.
#include <algorithm>

#include <gtest/gtest.h>

#include "errors.hpp"
#include "plan/plan.hpp"
#include "text.hpp"

using namespace fairq::driver;

namespace {

const std::string kHead = "name = \"a\"\ndescription = \"b\"\n[[phases]]\nname = \"p\"\ntimeout = \"1m\"\n";

plan::Plan read(const std::string &actors) {
    return plan::parse_plan(kHead + actors, "a.toml", {});
}

std::string error_of(const std::string &actors) {
    try {
        read(actors);
        return "no error";
    } catch (const UsageError &error) {
        return error.what();
    }
}

std::vector<std::string> gates_of(const plan::Plan &plan) {
    std::vector<std::string> gates;
    for (const judge::Gate &gate : plan.gates)
        gates.push_back(gate.metric_text + " " + gate.expression);
    return gates;
}

bool has(const plan::Plan &plan, const std::string &gate) {
    const auto gates = gates_of(plan);
    return std::find(gates.begin(), gates.end(), gate) != gates.end();
}

const std::string kCalls = "[[phases.calls]]\nname = \"c\"\nsql = \"SELECT '${tenant}', '${key}', ${n}\"\n";

} // namespace

TEST(ActorReaderTest, calls_have_a_rate_or_stages_and_what_is_known_when_they_run_is_left_to_that) {
    const plan::CallsActor rate =
        read(kCalls + "rate = \"5/s\"\nduration = \"2s\"\nconnections = 3\ntenants = 7\nspread = "
                      "\"zipf\"\npoisson = true\nenqueues = true\nfresh = true\nexpect = [\"JQ002\"]\n")
            .phases[0]
            .calls.at(0);
    EXPECT_EQ(rate.sql, "SELECT '${tenant}', '${key}', ${n}");
    EXPECT_EQ(planned_calls(rate.stages), 10);
    EXPECT_EQ(rate.connections, 3);
    EXPECT_EQ(rate.tenants, 7);
    EXPECT_EQ(rate.spread, plan::Spread::zipf);
    EXPECT_TRUE(rate.poisson && rate.enqueues && rate.fresh);
    EXPECT_EQ(rate.expect, std::vector<std::string>{"JQ002"});
    const plan::CallsActor stages =
        read(kCalls + "[[phases.calls.stages]]\nrate = \"10/s\"\nduration = \"2s\"\nramp = true\n"
                      "[[phases.calls.stages]]\nrate = \"1/s\"\nduration = \"3s\"\n")
            .phases[0]
            .calls.at(0);
    EXPECT_EQ(planned_calls(stages.stages), 13);
    EXPECT_TRUE(stages.stages.at(0).ramp);
}

TEST(ActorReaderTest, external_workers_holders_and_faults_are_read) {
    const plan::Phase phase =
        read("workers = { kind = \"external\", name = \"w\", workers = 3, batch = 7, tenant_cap = 9, work = "
             "\"5ms\", fail = 0.25 }\n"
             "holders = { sql = \"SELECT 1\", sessions = 2, isolation = \"REPEATABLE READ\" }\n"
             "faults = { kind = \"cut-session\", of = \"worker\", first = \"1s\", every = \"2s\", times = 3 "
             "}\n")
            .phases[0];
    EXPECT_EQ(phase.external.at(0).workers, 3);
    EXPECT_EQ(phase.external[0].batch, 7);
    EXPECT_EQ(phase.external[0].tenant_cap, 9);
    EXPECT_EQ(phase.external[0].work, Milliseconds(5));
    EXPECT_EQ(phase.external[0].fail, 0.25);
    EXPECT_EQ(phase.holders.at(0).sessions, 2);
    EXPECT_EQ(phase.faults.at(0).times, 3);
    EXPECT_EQ(phase.faults[0].kind, plan::FaultKind::cut_session);
}

TEST(ActorReaderTest, what_every_such_phase_has_to_show_is_a_standing_gate_unless_the_plan_speaks_of_it) {
    const plan::Plan plan =
        read(kCalls +
             "rate = \"5/s\"\nduration = \"2s\"\n[phases.holders]\nsql = \"SELECT 1\"\n[phases.faults]\nkind "
             "= \"kill-server\"\nfirst = \"1s\"\n");
    EXPECT_TRUE(strikes_server(plan));
    for (const char *gate : {"offered_ratio{phase:p} value>=0.95", "calls_failed{phase:p} value==0",
                             "held_ratio{phase:p} value==1", "faults_fired_ratio{phase:p} value==1"})
        EXPECT_TRUE(has(plan, gate)) << gate;
    const plan::Plan speaks =
        read(kCalls + "rate = \"5/s\"\nduration = \"2s\"\n[[gates]]\nid = \"G\"\nmetric = "
                      "\"calls_failed_ratio{actor:c}\"\nexpect = \"value<0.5\"\n");
    EXPECT_FALSE(has(speaks, "calls_failed{phase:p} value==0"));
}

TEST(ActorReaderTest, mistakes_are_refused_with_what_was_wrong) {
    const std::pair<std::string, const char *> rows[] = {
        {kCalls, "rate: is missing: rate and duration, or stages"},
        {kCalls + "rate = \"5/s\"\nduration = \"1ms\"\n", "makes 0 calls"},
        {kCalls + "rate = \"5/s\"\nduration = \"1s\"\nspread = \"zip\"\n", "did you mean \"zipf\"?"},
        {"[[phases.calls]]\nname = \"c\"\nsql = \"SELECT 1\"\nrate = \"5/s\"\nduration = \"1s\"\nenqueues = "
         "true\n",
         "has to give ${key}"},
        {"workers = { kind = \"external\", workers = 1, fail = 2 }\n",
         "fail: must be a number from 0 to 1, not 2"},
        {"workers = { kind = \"extern\", workers = 1 }\n", "must be cron, tick or external, not \"extern\""},
        {"seed = { jobs = 1, tenants = 1 }\nholders = { sql = \"SELECT 1\", isolation = \"SERIALIZABLE\" }\n",
         "must be READ COMMITTED"},
        {"seed = { jobs = 1, tenants = 1 }\nfaults = { kind = \"fire\", first = \"1s\" }\n",
         "must be one of cut-session, stop-fast"},
        {"seed = { jobs = 1, tenants = 1 }\nfaults = { kind = \"cut-session\", of = \"workers\", first = "
         "\"1s\" }\n",
         "did you mean \"worker\"?"},
        {"seed = { jobs = 1, tenants = 1 }\nfaults = { kind = \"kill-server\", first = \"1s\", times = 2 }\n",
         "every: is missing"},
        {kCalls + "rate = \"5/s\"\nduration = \"2s\"\n[[gates]]\nid = \"G\"\nmetric = "
                  "\"call_ms{actor:d}\"\nexpect = \"max<5\"\n",
         "there is no actor \"d\"; did you mean \"c\"?"}};
    for (const auto &[text, what] : rows)
        EXPECT_NE(error_of(text).find(what), std::string::npos) << error_of(text) << "\n" << text;
}

TEST(DidYouMeanTest, the_nearest_name_is_named_when_one_is_near) {
    EXPECT_EQ(did_you_mean("smok", {"standard", "smoke"}), "; did you mean \"smoke\"?");
    EXPECT_EQ(did_you_mean("nothing-like-it", {"standard", "smoke"}), "");
    EXPECT_EQ(did_you_mean("x", {}), "");
}
