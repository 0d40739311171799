// What is shown of a run: the summary, its points over time, hints at causes, and that a stored result gives the same
// report again.
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "report/files.hpp"
#include "report_fixture.hpp"

using namespace fairq::driver;
using namespace fairq::test;

namespace {

const report::MetricLine &metric(const report::Summary &summary, const std::string &name,
                                 const std::string &phase) {
    for (const report::MetricLine &line : summary.metrics)
        if (line.name == name && line.phase == phase)
            return line;
    throw std::logic_error("there is no metric " + name);
}

const report::GateLine &gate(const report::Summary &summary, const std::string &id) {
    for (const report::GateLine &line : summary.gates)
        if (line.id == id)
            return line;
    throw std::logic_error("there is no gate " + id);
}

} // namespace

TEST(SummaryTest, the_rate_and_the_cpu_of_a_point_are_since_the_point_before) {
    const report::Summary summary = hostile_summary();
    EXPECT_EQ(summary.phases[0].queue.at(1).rate, 2);
    EXPECT_DOUBLE_EQ(summary.phases[0].system.at(3).server_cpu, 0.5);
    EXPECT_DOUBLE_EQ(summary.phases[0].system.at(3).wal_rate, 1000);
    EXPECT_EQ(summary.phases[0].system.at(0).server_cpu, 0);
}

TEST(SummaryTest, a_server_that_starts_again_has_no_negative_rates) {
    const plan::Plan plan = hostile_plan();
    engine::RunResult run = hostile_run(plan);
    measure::SystemSample fresh = system_sample(20);
    fresh.counters = {};
    fresh.server.cpu_seconds = 0;
    run.phases[0].system.samples.add(fresh);
    const report::Summary summary = report::summarize(run);
    EXPECT_EQ(summary.phases[0].system.back().wal_rate, 0);
    EXPECT_EQ(summary.phases[0].system.back().server_cpu, 0);
}

TEST(SummaryTest, cost_is_over_completed_jobs_and_a_metric_that_gates_may_use) {
    const report::Summary summary = hostile_summary();
    EXPECT_EQ(metric(summary, "wal_bytes_per_job", "one").value, 1000);
    EXPECT_EQ(metric(summary, "round_trips_per_job", "two").value, 2);
    EXPECT_EQ(metric(summary, "server_cpu", "one").quantiles.at("max"), 0.5);
}

TEST(SummaryTest, points_of_a_long_phase_are_thinned_out_and_the_highest_stay) {
    const plan::Plan plan = hostile_plan();
    engine::RunResult run = hostile_run(plan);
    run.phases[0].series.clear();
    for (int second = 0; second < 10'000; ++second)
        run.phases[0].series.push_back(
            {static_cast<double>(second), second == 7777 ? 99 : 1, 0, second, 2.0, 1});
    const report::Summary summary = report::summarize(run);
    EXPECT_LE(summary.phases[0].queue.size(), report::kMostPoints);
    long long most = 0;
    for (const report::QueuePoint &point : summary.phases[0].queue)
        most = std::max(most, point.queued);
    EXPECT_EQ(most, 99);
    EXPECT_EQ(summary.phases[0].queue_samples, 10'000);
    EXPECT_LT(report::html_report(summary).size(), 1'000'000U);
}

TEST(SummaryTest, a_limit_that_was_missed_is_told_with_the_worst_second_and_what_the_server_waited_for) {
    const report::Summary summary = hostile_summary();
    EXPECT_EQ(gate(summary, "SLOW").verdict, judge::Verdict::failed);
    EXPECT_EQ(gate(summary, "SLOW").hint, "worst at second 10 of two; the fault hands struck then; its "
                                          "sessions waited for Lock/transactionid 75 % "
                                          "of the time");
}

TEST(SummaryTest, gates_that_hold_have_no_hint_and_broken_ones_name_the_first_offender) {
    const plan::Plan plan = hostile_plan();
    engine::RunResult run = hostile_run(plan);
    EXPECT_EQ(gate(report::summarize(run), "LEDGER").hint, "");
    run.phases[0].ledger.lost = 1;
    run.phases[0].ledger.first_bad = {"job 12 is lost"};
    run.phases[1].stuck.reset();
    measure::Samples samples;
    for (const engine::PhaseResult &phase : run.phases)
        engine::add_samples(samples, phase);
    engine::conclude(run, samples);
    EXPECT_EQ(gate(report::summarize(run), "LEDGER").hint, "job 12 is lost");
}

TEST(SummaryTest, what_does_not_hold_comes_first) {
    const report::Summary summary = hostile_summary();
    const auto gates = worst_first(summary);
    EXPECT_EQ(gates[0]->id, "SLOW");
    EXPECT_EQ(gates[1]->id, "FEW");
    EXPECT_EQ(gates[2]->verdict, judge::Verdict::passed);
}

TEST(SummaryTest, a_stored_result_gives_the_same_report_in_every_format) {
    const report::Summary summary = hostile_summary();
    const std::string stored = report::json_report(summary);
    const report::Summary again = report::read_json(stored);
    EXPECT_EQ(report::json_report(again), stored);
    // What is no UTF-8 cannot be in JSON: the formats are compared from what can.
    const report::Summary twice = report::read_json(report::json_report(again));
    EXPECT_EQ(report::text_report(twice, {}), report::text_report(again, {}));
    for (const auto make : {report::html_report, report::junit_report, report::csv_report, report::tap_report,
                            report::markdown_report, report::github_summary})
        EXPECT_EQ(make(twice), make(again));
    EXPECT_EQ(report::csv_report(again), report::csv_report(summary));
}

TEST(SummaryTest, the_order_of_the_plan_survives_the_json) {
    const report::Summary again = report::read_json(report::json_report(hostile_summary()));
    EXPECT_NE(again.config.find("\"phases\":[{\"name\":\"one\""), std::string::npos);
}

TEST(ResultReaderTest, what_is_no_result_is_refused_with_one_sentence) {
    const auto refusal = [](const std::string &text) -> std::string {
        try {
            report::read_json(text);
        } catch (const report::ResultError &error) {
            return error.what();
        }
        return "";
    };
    EXPECT_NE(refusal("{").find("it is no result of fairq run"), std::string::npos);
    EXPECT_NE(refusal("[]").find("it is no result of fairq run"), std::string::npos);
    EXPECT_NE(refusal(R"({"version": "2.0.0"})").find("it has schema version 2.0.0"), std::string::npos);
    EXPECT_EQ(refusal(report::json_failure(judge::Outcome::setup, "no server")),
              "the run never started: no server");
    auto json = nlohmann::json::parse(report::json_report(hostile_summary()));
    json["verdict"] = "splendid";
    EXPECT_NE(refusal(json.dump()).find("\"splendid\""), std::string::npos);
    json["verdict"] = "pass";
    json["series"][0]["phase"] = "nowhere";
    EXPECT_NE(refusal(json.dump()).find("nowhere"), std::string::npos);
}

TEST(ResultReaderTest, a_result_of_the_version_before_can_be_read) {
    auto json = nlohmann::json::parse(report::json_report(hostile_summary()));
    json["version"] = "1.0.0";
    for (const char *added : {"latency", "system"})
        json.erase(added);
    for (auto &phase : json["phases"])
        for (const char *added : {"cost", "faults", "errors", "goes_on", "drained_jobs"})
            phase.erase(added);
    const report::Summary summary = report::read_json(json.dump());
    EXPECT_EQ(summary.phases.size(), 2U);
    EXPECT_NE(report::html_report(summary).find("Throughput and backlog"), std::string::npos);
}

TEST(IntervalTest, of_few_values_is_wider_than_of_many_and_holds_the_value) {
    const auto width = [](int copies) {
        const plan::Plan plan = hostile_plan();
        engine::RunResult run = hostile_run(plan);
        actors::Figures &figures = run.phases[1].figures[0];
        figures.times.clear();
        figures.spread.clear();
        for (int i = 0; i < 100 * copies; ++i)
            figures.times["claim_ms"].record(1'000 + 100 * (i % 100));
        const report::Summary summary = report::summarize(run);
        const report::MetricLine &line = metric(summary, "claim_ms", "two");
        const auto [low, high] = line.intervals.at("p50");
        EXPECT_LE(low, line.quantiles.at("p50"));
        EXPECT_GE(high, line.quantiles.at("p50"));
        return high - low;
    };
    EXPECT_GT(width(1), 2 * width(100));
}

TEST(IntervalTest, of_values_that_change_from_second_to_second_is_wider) {
    const auto width = [](bool wavers) {
        const plan::Plan plan = hostile_plan();
        engine::RunResult run = hostile_run(plan);
        actors::Figures &figures = run.phases[1].figures[0];
        figures.times.clear();
        figures.spread.clear();
        for (int second = 0; second < 40; ++second)
            for (int i = 0; i < 1000; ++i) {
                const std::int64_t time = 10'000 + 500 * (wavers ? second / 4 : i % 10);
                figures.times["claim_ms"].record(time);
                figures.spread["claim_ms"].record(second, time);
            }
        const auto [low, high] = metric(report::summarize(run), "claim_ms", "two").intervals.at("p50");
        return high - low;
    };
    EXPECT_GT(width(true), 1.5 * width(false));
}
