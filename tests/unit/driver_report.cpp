// The text and the JSON of a finished run, and the live line.
#include <sstream>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "engine/progress.hpp"
#include "report/report.hpp"

using namespace fairq::driver;

namespace {

const char *const kPlan = R"(name = "demo"
description = "a plan"
[[phases]]
name = "one"
timeout = "5m"
seed = { jobs = 4, tenants = 2 }
workers = { kind = "tick", workers = 1, every = "1s" }
[[gates]]
id = "LOAD3"
title = "seconds that the oldest job waits"
metric = "oldest_queued_seconds{phase:one}"
expect = "max<180"
[[gates]]
id = "SLOW"
metric = "poll_ms"
expect = "p(99)<5"
)";

struct Fixture {
    plan::Plan plan = plan::parse_plan(kPlan, "demo.toml", {});
    engine::RunResult run;

    Fixture() {
        run.plan = &plan;
        run.run_id = "abc123";
        run.seed = 42;
        run.generated_at = "2026-01-02T03:04:05Z";
        run.again = "fairq run demo --seed 42";
        run.wall_seconds = 67.5;
        run.server.version = "15.20";
        run.server.extension = "0.1.0";
        run.server.settings = {{"fsync", "on"}, {"synchronous_commit", "on"}};
        run.phases.push_back(phase());
        finish();
    }

    static engine::PhaseResult phase() {
        engine::PhaseResult phase;
        phase.name = "one";
        phase.drain = db::DrainTimes{2.0, 4};
        phase.ticks.push_back({4, 4, 0, 40, {{"tenant-1", 2}, {"tenant-2", 2}}});
        phase.ledger.attempted = phase.ledger.acknowledged = phase.ledger.completed = 4;
        phase.ledger.tenant_jobs = phase.ledger.tenant_completed = {{"tenant-1", 2}, {"tenant-2", 2}};
        phase.series = {{0, 4, 0, 0, 1.5, 0.5}, {1, 0, 0, 4, std::nullopt, 1.5}};
        phase.outbox.messages = 4;
        phase.leaks_looked = true;
        return phase;
    }

    void finish() {
        measure::Samples samples;
        for (const engine::PhaseResult &phase : run.phases)
            engine::add_samples(samples, phase);
        engine::conclude(run, samples);
    }
};

std::vector<std::string> lines_of(const std::string &text) {
    std::vector<std::string> lines;
    std::istringstream stream(text);
    for (std::string line; std::getline(stream, line);)
        lines.push_back(line);
    return lines;
}

} // namespace

TEST(ReportTest, the_verdict_comes_first_and_the_tally_last) {
    const auto lines = lines_of(report::text_report(Fixture().run, {}));
    EXPECT_EQ(lines.front(), "INCONCLUSIVE  demo   1m07s   seed 42   run abc123");
    EXPECT_EQ(lines.back(), "12 passed, 1 failed");
    EXPECT_EQ(lines[lines.size() - 2], "  AGAIN         fairq run demo --seed 42");
}

TEST(ReportTest, each_criterion_has_verdict_limit_value_and_samples) {
    const std::string text = report::text_report(Fixture().run, {});
    EXPECT_NE(
        text.find(
            "   pass  LOAD3  seconds that the oldest job waits             max<180      was 1.5      (2)\n"),
        std::string::npos)
        << text;
    EXPECT_NE(
        text.find(
            "   OPEN  SLOW   round trip of get_load_test_metrics()         p(99)<5      no value     (2)\n"
            "           2 samples, 1000 needed\n"),
        std::string::npos)
        << text;
    EXPECT_NE(text.find("   pass  LEDGER acknowledged jobs that are gone"), std::string::npos);
}

TEST(ReportTest, the_figures_of_the_ledger_and_of_each_phase_follow) {
    const std::string text = report::text_report(Fixture().run, {});
    EXPECT_NE(
        text.find("  LEDGER        attempted 4   acknowledged 4   unknown 0   completed 4\n"
                  "                lost 0   duplicated 0   unexpected 0   stuck 0   outbox 0   dead 0\n"),
        std::string::npos);
    EXPECT_NE(
        text.find(
            "   one          drained             4       1       4.0      2.00       2.0          2-2       "
            "1.5\n"),
        std::string::npos)
        << text;
}

TEST(ReportTest, no_line_is_wider_than_a_hundred_columns) {
    Fixture fixture;
    fixture.run.phases[0].notes = {std::string(300, 'x')};
    fixture.run.phases[0].stuck = db::StuckReport{
        {"job 7 of tenant-1: its key is busy"}, {"queued 5"}, {std::string(200, 'y')}, {}, {"tick failed"}};
    fixture.run.ledger.first_bad = {std::string(200, 'z')};
    fixture.plan.gates[0].title = std::string(200, 't');
    const std::string text = report::text_report(fixture.run, {});
    for (const std::string &line : lines_of(text))
        EXPECT_LE(line.size(), 100U) << line;
    EXPECT_NE(text.find("    errors: tick failed"), std::string::npos) << text;
}

TEST(ReportTest, symbols_and_colours_stand_beside_the_words) {
    const std::string text = report::text_report(Fixture().run, {true, true, false});
    EXPECT_NE(text.find("\033[32m\u2713 pass\033[0m"), std::string::npos);
    EXPECT_EQ(report::text_report(Fixture().run, {}).find('\033'), std::string::npos);
}

TEST(ReportTest, quiet_prints_the_verdict_what_does_not_hold_and_the_tally) {
    const auto lines = lines_of(report::text_report(Fixture().run, {false, false, true}));
    ASSERT_EQ(lines.size(), 5U);
    EXPECT_EQ(lines[2].substr(0, 16), "   OPEN  SLOW   ");
    EXPECT_EQ(lines[3], "           2 samples, 1000 needed");
}

TEST(ReportTest, what_does_not_hold_comes_first) {
    const std::string text = report::text_report(Fixture().run, {});
    EXPECT_LT(text.find("OPEN  SLOW"), text.find("pass  LOAD3"));
    for (const auto &[first, second] : {std::pair("GATES", "LEDGER  "), std::pair("LEDGER  ", "THROUGHPUT"),
                                        std::pair("THROUGHPUT", "AGAIN")})
        EXPECT_LT(text.find(first), text.find(second));
}

TEST(ReportTest, a_phase_that_is_still_moving_at_its_deadline_proves_nothing) {
    Fixture fixture;
    fixture.plan.gates.erase(fixture.plan.gates.begin() + 1); // the one without enough samples
    fixture.run.phases[0].end = engine::PhaseEnd::timeout;
    fixture.run.phases[0].ledger.unfinished = 1;
    fixture.finish();
    EXPECT_EQ(fixture.run.outcome, judge::Outcome::inconclusive);
    EXPECT_NE(
        report::text_report(fixture.run, {}).find("   OPEN  LEDGER jobs that were still moving at the end"),
        std::string::npos);
}

TEST(ReportTest, a_run_whose_last_phase_failed_has_not_passed) {
    Fixture fixture;
    fixture.plan.gates.erase(fixture.plan.gates.begin() + 1);
    fixture.plan.phases.push_back(fixture.plan.phases[0]);
    engine::PhaseResult failed;
    failed.name = "two";
    failed.end = engine::PhaseEnd::failed;
    fixture.run.phases.push_back(failed);
    fixture.finish();
    EXPECT_EQ(fixture.run.outcome, judge::Outcome::inconclusive);
    EXPECT_FALSE(fixture.run.complete);
}

TEST(ReportTest, jobs_that_a_phase_leaves_to_the_next_are_judged_there_and_counted_once) {
    Fixture fixture;
    fixture.plan.gates.erase(fixture.plan.gates.begin() + 1);
    fixture.plan.phases.push_back(fixture.plan.phases[0]);
    engine::PhaseResult fill = Fixture::phase();
    fill.name = "fill";
    fill.end = engine::PhaseEnd::sent;
    fill.ledger.completed = 0;
    fill.ledger.unfinished = 4;
    fixture.run.phases[0].goes_on = true;
    fixture.run.phases.insert(fixture.run.phases.begin(), fill);
    fixture.finish();
    EXPECT_EQ(fixture.run.outcome, judge::Outcome::pass) << report::text_report(fixture.run, {});
    EXPECT_EQ(fixture.run.ledger.acknowledged, 4);
    EXPECT_EQ(fixture.run.ledger.unfinished, 0);
}

TEST(ReportTest, jobs_that_end_dead_break_a_run_whose_plan_does_not_speak_of_them) {
    Fixture fixture;
    fixture.run.phases[0].ledger.completed = 0;
    fixture.run.phases[0].ledger.dead = 4;
    fixture.finish();
    EXPECT_EQ(fixture.run.outcome, judge::Outcome::broken);
}

TEST(ReportTest, jobs_stuck_at_rest_break_the_run) {
    Fixture fixture;
    fixture.run.phases[0].end = engine::PhaseEnd::at_rest;
    fixture.run.phases[0].ledger.stuck = 2;
    fixture.finish();
    EXPECT_EQ(fixture.run.outcome, judge::Outcome::broken);
}

TEST(ReportTest, a_run_without_any_job_passes_nothing) {
    Fixture fixture;
    fixture.run.phases.clear();
    fixture.finish();
    EXPECT_EQ(judge::last_line(judge::tally(fixture.run.gates)), "0 passed, 13 failed");
}

TEST(JsonTest, the_summary_has_verdict_ledger_thresholds_phases_and_series) {
    const auto json = nlohmann::json::parse(report::json_report(Fixture().run));
    EXPECT_EQ(json["version"], report::kSchemaVersion);
    EXPECT_EQ(json["complete"], true);
    EXPECT_EQ(json["verdict"], "inconclusive");
    EXPECT_EQ(json["exit_code"], 2);
    EXPECT_EQ(json["metadata"]["seed"], 42);
    EXPECT_EQ(json["metadata"]["server"]["version"], "15.20");
    EXPECT_EQ(json["config"]["phases"][0]["seed"][0]["jobs"], 4);
    EXPECT_EQ(json["ledger"]["ok_count"], 4);
    EXPECT_EQ(json["ledger"]["lost_count"], 0);
    EXPECT_EQ(json["phases"][0]["drain_seconds"], 2.0);
    EXPECT_EQ(json["series"].size(), 2U);
    EXPECT_TRUE(json["series"][1]["oldest_queued_seconds"].is_null());
}

TEST(JsonTest, a_threshold_has_its_value_samples_and_one_of_three_verdicts) {
    const auto thresholds = nlohmann::json::parse(report::json_report(Fixture().run))["thresholds"];
    EXPECT_EQ(thresholds[0]["id"], "LOAD3");
    EXPECT_EQ(thresholds[0]["selector"]["phase"], "one");
    EXPECT_EQ(thresholds[0]["value"], 1.5);
    EXPECT_EQ(thresholds[0]["samples"], 2);
    EXPECT_EQ(thresholds[0]["verdict"], "pass");
    EXPECT_TRUE(thresholds[1]["value"].is_null());
    EXPECT_EQ(thresholds[1]["verdict"], "inconclusive");
}

TEST(JsonTest, metrics_carry_percentiles_by_phase) {
    const auto metrics = nlohmann::json::parse(report::json_report(Fixture().run))["metrics"];
    const auto poll =
        std::find_if(metrics.begin(), metrics.end(), [](const auto &m) { return m["name"] == "poll_ms"; });
    ASSERT_NE(poll, metrics.end());
    EXPECT_EQ((*poll)["phase"], "one");
    EXPECT_EQ((*poll)["values"]["p50"], 0.5);
    EXPECT_EQ((*poll)["values"]["max"], 1.5);
}

TEST(JsonTest, an_interrupted_run_is_marked_incomplete) {
    Fixture fixture;
    fixture.run.interrupted = true;
    fixture.finish();
    const auto json = nlohmann::json::parse(report::json_report(fixture.run));
    EXPECT_EQ(json["complete"], false);
    EXPECT_EQ(json["exit_code"], 105);
}

TEST(JsonTest, a_run_that_was_over_before_it_was_drained_is_incomplete) {
    Fixture fixture;
    fixture.run.phases[0].end = engine::PhaseEnd::timeout;
    fixture.finish();
    EXPECT_EQ(nlohmann::json::parse(report::json_report(fixture.run))["complete"], false);
}

TEST(JsonTest, a_run_that_never_started_says_why) {
    const auto json = nlohmann::json::parse(report::json_failure(judge::Outcome::setup, "no server"));
    EXPECT_EQ(json["complete"], false);
    EXPECT_EQ(json["verdict"], "setup");
    EXPECT_EQ(json["exit_code"], 3);
    EXPECT_EQ(json["error"], "no server");
}

TEST(JsonTest, text_that_is_no_utf8_does_not_break_the_summary) {
    Fixture fixture;
    fixture.run.phases[0].notes = {"bad \xff byte"};
    EXPECT_NO_THROW(report::json_report(fixture.run));
}

TEST(DescribeTest, a_dry_run_shows_phases_statements_and_gates) {
    const std::string text = report::describe_plan(plan::parse_plan(kPlan, "demo.toml", {}));
    for (const char *part :
         {"phase one", "SELECT public.clear_load_test_data();", "SELECT public.seed_load_test_jobs(4, 2);",
          "SELECT public.run_job_queue_parallel(1);", "when drained, at most 5m",
          "oldest_queued_seconds{phase:one} max<180"})
        EXPECT_NE(text.find(part), std::string::npos) << part;
}

TEST(DescribeTest, the_list_names_rows_sizes_and_how_long_each_takes) {
    const std::string text =
        report::summarize_plan(plan::read_plan(FAIRQ_SHIPPED_PLANS "/throughput.toml", {"smoke", {}}));
    EXPECT_EQ(text.substr(0, text.find('\n')), "throughput   R1, R16");
    EXPECT_NE(text.find("    --profile smoke        20s  1,500 jobs"), std::string::npos) << text;
    EXPECT_NE(text.find(" (default)\n"), std::string::npos) << text;
}

TEST(LiveLineTest, shows_phase_progress_and_what_is_wrong) {
    engine::LiveState state;
    state.plan = "scaling";
    state.phase = "single";
    state.elapsed = Milliseconds(17'000);
    state.expected = 1000;
    state.completed = 420;
    state.running = 50;
    state.waiting = 530;
    state.oldest_seconds = 12;
    EXPECT_EQ(engine::live_line(state),
              "scaling  [####------]  42%  single 17s  done 420/1,000  run 50  wait 530  oldest 12s");
    state.missed_samples = 2;
    state.connected = false;
    EXPECT_NE(engine::live_line(state).find("missed 2  reconnecting"), std::string::npos);
    state.expected = 0;
    EXPECT_NE(engine::live_line(state).find("  0%"), std::string::npos);
    state.plan = "\x1b[2J";
    EXPECT_EQ(engine::live_line(state).substr(0, 8), "\\x1b[2J ");
    EXPECT_EQ(engine::live_line(state, 40).size(), 40U);
}
