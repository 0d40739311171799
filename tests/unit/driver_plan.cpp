// Plans: a good one in full, profiles and options, and every kind of mistake with its file, line and key.
#include <algorithm>
#include <filesystem>
#include <tuple>

#include <gtest/gtest.h>

#include "errors.hpp"
#include "plan/plan.hpp"

using namespace fairq::driver;

namespace {

const std::string kGood = R"TOML(name = "demo"
description = "a plan"
default_profile = "small"
sample_every = "250ms"

[params]
jobs = 100
every = "1m"
share = 0.5
fast = true

[profiles.small]
description = "the small one"
jobs = 10

[profiles.large]
jobs = 1000
every = "1s"

[server]
cron_background_workers = false
[server.settings]
fsync = "off"
"fairq.tick_tenant_cap" = 7

[[phases]]
name = "one"
timeout = "5m"
before = ["SELECT ${schema}.f(${jobs})"]
seed = { jobs = "${jobs}", tenants = 5 }
workers = { kind = "cron", job = "a-job", workers = 4, every = "${every}" }

[[phases]]
name = "two"
clear = false
duration = "10s"
timeout = "1m"
at_rest = "2s"
[[phases.enqueue]]
rate = "50/s"
duration = "4s"
tenants = 2
work_ms = 20
[[phases.enqueue]]
rate = "60/m"
duration = "1m"
tenants = 1
[[phases.workers]]
kind = "tick"
workers = 1
every = "10ms"

[[gates]]
id = "G"
title = "limit"
metric = "oldest_queued_seconds{phase:two}"
expect = "max<180"
min_samples = 3
)TOML";

plan::Plan good(const plan::PlanChoice &choice = {}) {
    return plan::parse_plan(kGood, "demo.toml", choice);
}

std::string replaced(const std::string &from, const std::string &to) {
    std::string text = kGood;
    const std::size_t at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    return text.replace(at, from.size(), to);
}

std::string error_of(const std::string &text, const plan::PlanChoice &choice = {}) {
    try {
        plan::parse_plan(text, "demo.toml", choice);
        return "no error";
    } catch (const UsageError &error) {
        return error.what();
    }
}

} // namespace

TEST(PlanTest, a_good_plan_is_read_in_full) {
    const plan::Plan plan = good();
    EXPECT_EQ(plan.name, "demo");
    EXPECT_EQ(plan.profile, "small");
    EXPECT_EQ(plan.profiles.size(), 2U);
    EXPECT_EQ(plan.sample_every, Milliseconds(250));
    EXPECT_FALSE(plan.server.cron_background_workers);
    EXPECT_EQ(plan.server.settings.at("fairq.tick_tenant_cap"), "7");
    ASSERT_EQ(plan.phases.size(), 2U);
    const plan::Phase &one = plan.phases[0];
    EXPECT_TRUE(one.clear);
    EXPECT_FALSE(one.duration);
    EXPECT_EQ(one.timeout, Milliseconds(300'000));
    EXPECT_EQ(one.at_rest, Milliseconds(180'000)) << "three times the tick interval";
    EXPECT_EQ(one.before.at(0), "SELECT ${schema}.f(10)")
        << "the schema is filled in when the statement runs";
    EXPECT_EQ(one.seeds.at(0).jobs, 10);
    EXPECT_EQ(one.workers.at(0).kind, plan::WorkerKind::cron);
    EXPECT_EQ(one.workers.at(0).every, Milliseconds(60'000));
    const plan::Phase &two = plan.phases[1];
    EXPECT_FALSE(two.clear);
    EXPECT_EQ(two.duration, Milliseconds(10'000));
    EXPECT_EQ(two.at_rest, Milliseconds(2'000));
    EXPECT_EQ(two.enqueues.at(0).planned_jobs(), 200);
    EXPECT_EQ(two.enqueues.at(0).work_ms, 20);
    EXPECT_EQ(two.enqueues.at(1).planned_jobs(), 60);
    EXPECT_EQ(two.enqueues.at(1).work_ms, 10);
    EXPECT_EQ(two.workers.at(0).kind, plan::WorkerKind::tick);
}

TEST(PlanTest, the_gates_of_the_ledger_and_of_the_driver_are_always_there) {
    const plan::Plan plan = good();
    ASSERT_EQ(plan.gates.size(), 1U + 11U + 1U);
    EXPECT_EQ(plan.gates[0].id, "G");
    EXPECT_EQ(plan.gates[0].min_samples, 3U);
    EXPECT_EQ(plan.gates[1].metric_text, "lost");
    EXPECT_EQ(plan.gates[9].metric_text, "dead_letters");
    EXPECT_EQ(plan.gates[12].metric_text, "offered_ratio{phase:two}");
}

TEST(PlanTest, a_plan_may_want_dead_jobs_in_a_phase_and_has_the_standing_gate_in_the_others) {
    const auto gates_on_dead = [](const std::string &metric) {
        std::string text = kGood;
        const std::string before = "oldest_queued_seconds{phase:two}\"\nexpect = \"max<180\"";
        text.replace(text.find(before), before.size(), metric + "\"\nexpect = \"value>=5\"");
        std::vector<std::string> gates;
        for (const judge::Gate &gate : plan::parse_plan(text, "demo.toml", {}).gates)
            if (gate.operands[0].metric == "dead_letters")
                gates.push_back(gate.metric_text + " " + gate.expression);
        return gates;
    };
    using Gates = std::vector<std::string>;
    EXPECT_EQ(gates_on_dead("dead_letters"), Gates{"dead_letters value>=5"});
    EXPECT_EQ(gates_on_dead("dead_letters{phase:two}"),
              (Gates{"dead_letters{phase:two} value>=5", "dead_letters{phase:one} value==0"}));
    EXPECT_EQ(gates_on_dead("ticks"), Gates{"dead_letters value==0"});
}

TEST(PlanTest, gates_may_pick_actors_by_tags_of_the_plans_own) {
    const auto with_gate = [](const std::string &metric) {
        std::string text = replaced("rate = \"50/s\"", "rate = \"50/s\"\ntags = { kind = \"write\" }");
        const std::string before = "oldest_queued_seconds{phase:two}\"\nexpect = \"max<180\"";
        return text.replace(text.find(before), before.size(), metric + "\"\nexpect = \"max<180\"");
    };
    const plan::Plan plan =
        plan::parse_plan(with_gate("schedule_lag_ms{phase:two, kind:write}"), "demo.toml", {});
    EXPECT_EQ(plan.gates[0].operands[0].tags.at("kind"), "write");
    EXPECT_EQ(tags_of(plan.phases[1], "enqueue").at("kind"), "write");
    EXPECT_NE(error_of(with_gate("schedule_lag_ms{kind:wirte}"))
                  .find("there is no actor with kind \"wirte\"; did you mean \"write\"?"),
              std::string::npos);
    EXPECT_NE(error_of(with_gate("schedule_lag_ms{knd:write}")).find("did you mean \"kind\"?"),
              std::string::npos);
    EXPECT_NE(error_of(with_gate("schedule_lag_ms{phase:one, kind:write}")).find("in phase one"),
              std::string::npos);
}

TEST(PlanTest, a_gate_may_have_levels_a_window_and_end_the_run) {
    const plan::Plan plan = plan::parse_plan(
        replaced("min_samples = 3",
                 "min_samples = 3\ntarget = \"max<60\"\ncritical = \"max<600\"\nwindow = \"10s\"\n"
                 "abort_on_fail = true\ndelay_abort_eval = \"5s\""),
        "demo.toml", {});
    const judge::Gate &gate = plan.gates[0];
    EXPECT_EQ(gate.target->limit, 60);
    EXPECT_EQ(gate.critical->limit, 600);
    EXPECT_EQ(gate.window, Milliseconds(10'000));
    EXPECT_TRUE(gate.abort_on_fail);
    EXPECT_EQ(gate.delay_abort, Milliseconds(5'000));
}

TEST(PlanTest, jobs_that_a_phase_leaves_have_to_be_drained_by_another) {
    const auto with = [](const std::string &what, const std::string &by) {
        std::string text = kGood;
        text.replace(text.find(what), what.size(), by);
        return text;
    };
    const std::string leaves = with("timeout = \"5m\"", "timeout = \"5m\"\ndrain = false");
    EXPECT_FALSE(plan::parse_plan(leaves, "demo.toml", {}).phases[0].drain);
    std::string clears = leaves;
    clears.replace(clears.find("clear = false"), 13, "clear = true ");
    EXPECT_NE(error_of(clears).find("clear: must be false: the jobs of phase one"), std::string::npos)
        << error_of(clears);
    EXPECT_NE(
        error_of(with("clear = false", "clear = false\ndrain = false")).find("the last phase has to drain"),
        std::string::npos);
}

TEST(PlanTest, the_limits_of_the_shipped_plan_are_those_that_its_sizes_can_exceed) {
    for (const auto &[profile, limit, load] :
         {std::tuple("smoke", 30.0, 30.0), std::tuple("standard", 180.0, 300.0)}) {
        const plan::Plan plan = plan::read_plan(FAIRQ_SHIPPED_PLANS "/scaling.toml", {profile, {}});
        const auto gate_on = [&, plan](const std::string &metric) {
            return *std::find_if(plan.gates.begin(), plan.gates.end(),
                                 [&](const judge::Gate &gate) { return gate.metric_text == metric; });
        };
        const judge::Gate oldest = gate_on("oldest_queued_seconds{phase:steady}");
        EXPECT_EQ(oldest.expected.limit, limit);
        const auto steady = std::find_if(plan.phases.begin(), plan.phases.end(),
                                         [](const auto &p) { return p.name == "steady"; });
        ASSERT_NE(steady, plan.phases.end());
        // With dead workers the first job waits through the load and until the phase counts as at rest.
        const double waits =
            std::chrono::duration<double>(steady->enqueues[0].duration + steady->at_rest).count();
        EXPECT_EQ(std::chrono::duration<double>(steady->enqueues[0].duration).count(), load);
        EXPECT_GT(waits, limit);
        const auto cap = std::find_if(plan.phases.begin(), plan.phases.end(),
                                      [](const auto &p) { return p.name == "cap"; });
        ASSERT_NE(cap, plan.phases.end());
        EXPECT_GT(std::min(cap->seeds[0].jobs, 50 * cap->workers[0].workers) / cap->seeds[0].tenants, 25)
            << "a tick without a cap would take more than 25 of a tenant";
        EXPECT_EQ(gate_on("tick_tenant_claimed{phase:cap}").expression, "max==25");
    }
}

TEST(PlanTest, a_profile_may_say_how_long_it_takes) {
    const plan::Plan plan =
        plan::parse_plan(replaced("jobs = 10\n", "jobs = 10\ntakes = \"20s\"\n"), "demo.toml", {});
    for (const plan::Profile &profile : plan.profiles)
        EXPECT_EQ(profile.takes.value_or(Milliseconds(0)).count(), profile.name == "small" ? 20'000 : 0);
    EXPECT_NE(error_of(replaced("jobs = 10\n", "takes = \"long\"\n")).find("takes: must be a duration"),
              std::string::npos);
}

TEST(PlanTest, a_shipped_plan_says_what_it_shows_and_how_long_each_size_takes) {
    std::size_t plans = 0;
    for (const auto &file : std::filesystem::directory_iterator(FAIRQ_SHIPPED_PLANS)) {
        const plan::Plan plan = plan::read_plan(file.path(), {});
        ++plans;
        EXPECT_FALSE(plan.rows.empty()) << plan.name;
        EXPECT_EQ(plan.profile, "standard") << plan.name;
        const auto smoke = std::find_if(plan.profiles.begin(), plan.profiles.end(),
                                        [](const plan::Profile &profile) { return profile.name == "smoke"; });
        ASSERT_NE(smoke, plan.profiles.end()) << plan.name;
        for (const plan::Profile &profile : plan.profiles) {
            EXPECT_FALSE(profile.description.empty()) << plan.name << " " << profile.name;
            ASSERT_TRUE(profile.takes) << plan.name << " " << profile.name;
            EXPECT_GE(*profile.takes, profile.name == "smallest" ? Milliseconds(0) : *smoke->takes);
        }
    }
    EXPECT_GE(plans, 13U);
}

TEST(PlanTest, a_profile_changes_params_and_an_option_goes_before_it) {
    EXPECT_EQ(good({"large", {}}).phases[0].seeds[0].jobs, 1000);
    EXPECT_EQ(good({"large", {}}).phases[0].workers[0].every, Milliseconds(1'000));
    EXPECT_EQ(good({"large", {{"jobs", "7"}}}).phases[0].seeds[0].jobs, 7);
}

TEST(PlanTest, a_profile_that_is_not_there_is_refused_with_those_that_are) {
    EXPECT_EQ(error_of(kGood, {"huge", {}}),
              "demo.toml: there is no profile \"huge\"; there are: large, small");
}

TEST(PlanTest, an_option_that_is_unknown_or_of_another_kind_is_refused) {
    EXPECT_EQ(error_of(kGood, {"", {{"job", "7"}}}), "--option job: demo.toml has no param of this name");
    EXPECT_EQ(error_of(kGood, {"", {{"jobs", "many"}}}), "--option jobs=many: must be like its default 10");
    EXPECT_EQ(error_of(kGood, {"", {{"jobs", "7x"}}}), "--option jobs=7x: must be like its default 10");
    EXPECT_EQ(error_of(kGood, {"", {{"fast", "maybe"}}}),
              "--option fast=maybe: must be like its default true");
    EXPECT_EQ(error_of(kGood, {"", {{"share", "0.25"}, {"fast", "false"}}}), "no error");
}

struct Mistake {
    const char *from;
    const char *to;
    const char *error; ///< how the message begins
};

class PlanMistakes : public testing::TestWithParam<Mistake> {};

TEST_P(PlanMistakes, are_named_with_file_line_and_key) {
    const Mistake &mistake = GetParam();
    const std::string error = error_of(replaced(mistake.from, mistake.to));
    EXPECT_EQ(error.substr(0, std::string(mistake.error).size()), mistake.error);
}

INSTANTIATE_TEST_SUITE_P(
    All, PlanMistakes,
    testing::Values(
        Mistake{"name = \"demo\"\n", "\n", "demo.toml:1: name: is missing"},
        Mistake{"description = \"a plan\"", "description = 5", "demo.toml:2: description: must be a text"},
        Mistake{"description = \"a plan\"", "description = [5]",
                "demo.toml:2: description: must be a text, a number"},
        Mistake{"sample_every = \"250ms\"", "sample_every = \"soon\"",
                "demo.toml:4: sample_every: must be a duration"},
        Mistake{"sample_every = \"250ms\"", "sample_every = \"1ms\"",
                "demo.toml:4: sample_every: must be 10ms"},
        Mistake{"sample_every", "sample_evry", "demo.toml:4: sample_evry: unknown key; known here:"},
        Mistake{"default_profile = \"small\"", "default_profile = \"tiny\"",
                "demo.toml:3: default_profile: there is no profile"},
        Mistake{"jobs = 1000", "job = 1000", "demo.toml:17: profiles.large.job: a profile changes params"},
        Mistake{"jobs = 1000", "jobs = \"1000\"",
                "demo.toml:17: profiles.large.jobs: must be like its default 100"},
        Mistake{"cron_background_workers = false", "cron_background_workers = 3",
                "demo.toml:21: server.cron_background_workers:"},
        Mistake{"tenants = 5", "tenants = 0",
                "demo.toml:30: phases[0].seed.tenants: must be from 1 to 1000000, not 0"},
        Mistake{"tenants = 5", "tenants = 2.5",
                "demo.toml:30: phases[0].seed.tenants: must be a whole number"},
        Mistake{"tenants = 5", "tenant = 5", "demo.toml:30: phases[0].seed.tenants: is missing"},
        Mistake{"\"${jobs}\"", "\"${jbos}\"",
                "demo.toml:30: phases[0].seed.jobs: there is no param \"jbos\""},
        Mistake{"\"${jobs}\"", "\"${jobs\"", "demo.toml:30: phases[0].seed.jobs: \"${\" without"},
        Mistake{"\"${jobs}\"", "\"${every}\"",
                "demo.toml:30: phases[0].seed.jobs: must be a whole number, not 1m"},
        Mistake{"kind = \"cron\"", "kind = \"corn\"",
                "demo.toml:31: phases[0].workers.kind: must be cron, tick or external, not \"corn\""},
        Mistake{"job = \"a-job\"", "job = \"a'job\"",
                "demo.toml:31: phases[0].workers.job: may have lower-case"},
        Mistake{"job = \"a-job\", ", "", "demo.toml:31: phases[0].workers.job: is missing"},
        Mistake{"workers = 4", "workers = 65",
                "demo.toml:31: phases[0].workers.workers: must be from 1 to 64"},
        Mistake{"\"${every}\"", "\"90s\"",
                "demo.toml:31: phases[0].workers.every: pg_cron counts whole minutes"},
        Mistake{"\"${every}\"", "\"500ms\"",
                "demo.toml:31: phases[0].workers.every: pg_cron counts whole seconds"},
        Mistake{"\"${every}\"", "\"2h\"", "demo.toml:31: phases[0].workers.every: must be under an hour"},
        Mistake{"\"${every}\" }", "\"1m\", keep = true }",
                "demo.toml:26: phases: one keeps \"a-job\" for a next phase"},
        Mistake{"[\"SELECT ${schema}.f(${jobs})\"]", "\"SELECT 1\"",
                "demo.toml:29: phases[0].before: must be a list of texts"},
        Mistake{"[\"SELECT ${schema}.f(${jobs})\"]", "[1]",
                "demo.toml:29: phases[0].before: must be a list of texts"},
        Mistake{"name = \"two\"", "name = \"one\"",
                "demo.toml:34: phases[1].name: there is a phase \"one\" already"},
        Mistake{"timeout = \"1m\"\n", "\n", "demo.toml:33: phases[1].timeout: is missing"},
        Mistake{"rate = \"50/s\"", "rate = 50", "demo.toml:40: phases[1].enqueue[0].rate: must be a rate"},
        Mistake{"duration = \"4s\"", "duration = \"1ms\"",
                "demo.toml:40: phases[1].enqueue[0].rate: with this duration makes 0"},
        Mistake{"kind = \"tick\"", "kind = \"tick\"\nkeep = true",
                "demo.toml:50: phases[1].workers[0].keep: only workers of kind cron"},
        Mistake{"every = \"10ms\"", "every = \"0ms\"",
                "demo.toml:51: phases[1].workers[0].every: must be 1ms"},
        Mistake{"seed = { jobs", "sead = { jobs", "demo.toml:30: phases[0].sead: unknown key"},
        Mistake{"seed = {", "seed = 5 #", "demo.toml:30: phases[0].seed: must be a table"},
        Mistake{"metric = \"oldest_queued_seconds", "metric = \"oldest_seconds",
                "demo.toml:56: gates[0].metric: unknown metric"},
        Mistake{"{phase:two}", "{phase:three}", "demo.toml:56: gates[0].metric: there is no phase \"three\""},
        Mistake{"\"max<180\"", "\"max=180\"", "demo.toml:57: gates[0].expect: \"max=180\" has no comparison"},
        Mistake{"\"max<180\"", "\"value<180\"",
                "demo.toml:57: gates[0].expect: oldest_queued_seconds is a trend"},
        Mistake{"{phase:two}", "{phas:two}",
                "demo.toml:56: gates[0].metric: there is no tag \"phas\"; did you mean"},
        Mistake{"{phase:two}", "{actor:enqeue}",
                "demo.toml:56: gates[0].metric: there is no actor \"enqeue\"; did you mean \"enqueue\"?"},
        Mistake{"{phase:two}", "{phase:one, actor:enqueue}",
                "demo.toml:56: gates[0].metric: there is no actor \"enqueue\" in phase one"},
        Mistake{"min_samples = 3", "target = \"max<200\"",
                "demo.toml:57: gates[0].expect: the levels of a gate lie one behind the other"},
        Mistake{"min_samples = 3", "window = \"soon\"", "demo.toml:58: gates[0].window: must be a duration"},
        Mistake{"rate = \"50/s\"", "rate = \"50/s\"\ntags = { phase = \"x\" }",
                "demo.toml:41: phases[1].enqueue[0].tags.phase: every actor has it already"},
        Mistake{"min_samples = 3", "min_samples = 0", "demo.toml:58: gates[0].min_samples: must be from 1"},
        Mistake{"id = \"G\"\n", "\n", "demo.toml:53: gates[0].id: is missing"},
        Mistake{"[params]", "[params", "demo.toml:6: "}));

TEST(PlanTest, a_plan_without_phases_or_a_phase_without_actors_is_refused) {
    EXPECT_EQ(error_of("name = \"a\"\ndescription = \"b\"\n"),
              "demo.toml:1: phases: a plan needs at least one phase");
    EXPECT_NE(error_of("name = \"a\"\ndescription = \"b\"\n[[phases]]\nname = \"p\"\ntimeout = \"1s\"\n")
                  .find("needs an actor"),
              std::string::npos);
}

TEST(PlanTest, a_plan_that_is_nowhere_is_a_usage_error) {
    EXPECT_THROW(plan::find_plan("no-such-plan"), UsageError);
    EXPECT_THROW(plan::find_plan("no/such/plan.toml"), UsageError);
}
