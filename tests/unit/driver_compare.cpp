// Two runs compared: what is worse beyond the noise of both, what nobody can tell, and what is missing.
#include <gtest/gtest.h>

#include "judge/compare.hpp"
#include "report/comparison.hpp"
#include "report_fixture.hpp"

using namespace fairq::driver;
using namespace fairq::test;
using judge::Change;

namespace {

judge::Figure figure(double value, double noise = 0, bool lower = true) {
    return {"x", value, value - noise, value + noise, 1000, lower, false};
}

Change change(const judge::Figure &base, const judge::Figure &now, double tolerance = 0.1) {
    return judge::compare({base}, {now}, tolerance).at(0).change;
}

} // namespace

TEST(CompareTest, a_figure_is_worse_only_beyond_the_tolerance_and_the_noise_of_both) {
    EXPECT_EQ(change(figure(100), figure(109)), Change::same);
    EXPECT_EQ(change(figure(100), figure(111)), Change::worse);
    EXPECT_EQ(change(figure(100, 10), figure(150, 10)), Change::worse);
    EXPECT_EQ(change(figure(100, 20), figure(130, 20)), Change::unclear);
    EXPECT_EQ(change(figure(100, 50), figure(105, 50)), Change::same);
    EXPECT_EQ(change(figure(100), figure(111), 0.2), Change::same);
}

TEST(CompareTest, better_is_judged_the_same_way_round) {
    EXPECT_EQ(change(figure(100), figure(80)), Change::better);
    EXPECT_EQ(change(figure(100, 15), figure(80, 15)), Change::same);
    EXPECT_EQ(change(figure(100, 0, false), figure(80, 0, false)), Change::worse) << "throughput";
    EXPECT_EQ(change(figure(100, 0, false), figure(130, 0, false)), Change::better);
    EXPECT_EQ(change(figure(100, 20, false), figure(80, 20, false)), Change::unclear);
}

TEST(CompareTest, an_invariant_has_no_tolerance) {
    judge::Figure none = figure(0), one = figure(1), many = figure(1000), more = figure(1001);
    for (judge::Figure *f : {&none, &one, &many, &more})
        f->exact = true;
    EXPECT_EQ(change(none, one), Change::worse);
    EXPECT_EQ(change(many, more), Change::worse);
    EXPECT_EQ(change(one, none), Change::better);
    EXPECT_EQ(change(none, none), Change::same);
}

TEST(CompareTest, from_nothing_is_endlessly_worse) {
    EXPECT_EQ(change(figure(0), figure(0.1)), Change::worse);
    EXPECT_EQ(change(figure(0), figure(0)), Change::same);
}

TEST(CompareTest, what_only_one_run_has_is_told) {
    judge::Figure other = figure(1);
    other.name = "y";
    const auto compared = judge::compare({figure(1)}, {other}, 0.1);
    ASSERT_EQ(compared.size(), 2U);
    EXPECT_EQ(compared[0].change, Change::only_base);
    EXPECT_EQ(compared[1].change, Change::only_new);
}

TEST(CompareTest, the_worst_comes_first) {
    std::vector<judge::Figure> base, now;
    for (const auto &[name, value] :
         {std::pair("same", 100.0), std::pair("bad", 150.0), std::pair("worst", 300.0)}) {
        base.push_back(figure(100));
        now.push_back(figure(value));
        base.back().name = now.back().name = name;
    }
    auto compared = judge::compare(base, now, 0.1);
    judge::sort_by_concern(compared);
    EXPECT_EQ(compared[0].name, "worst");
    EXPECT_EQ(compared[1].name, "bad");
}

TEST(CompareRunsTest, a_run_is_as_good_as_itself) {
    const auto result = report::compare_runs(hostile_summary(), hostile_summary(), 0.1, {});
    EXPECT_EQ(result.outcome, judge::Outcome::pass) << result.text;
}

TEST(CompareRunsTest, claims_that_take_three_times_as_long_fail_the_comparison_and_only_they) {
    const auto result = report::compare_runs(hostile_summary(), hostile_summary(3), 0.1, {});
    EXPECT_EQ(result.outcome, judge::Outcome::fail);
    EXPECT_NE(result.text.find("WORSE        claim_ms{phase:two, actor:hands} p50"), std::string::npos)
        << result.text;
    std::size_t worse = 0;
    for (std::size_t at = result.text.find("   WORSE"); at != std::string::npos;
         at = result.text.find("   WORSE", at + 1))
        ++worse;
    std::size_t claims = 0;
    for (std::size_t at = result.text.find("WORSE        claim_ms"); at != std::string::npos;
         at = result.text.find("WORSE        claim_ms", at + 1))
        ++claims;
    EXPECT_EQ(worse, claims) << result.text;
    EXPECT_EQ(report::compare_runs(hostile_summary(3), hostile_summary(), 0.1, {}).outcome,
              judge::Outcome::pass);
}

TEST(CompareRunsTest, a_lost_job_more_is_worse_whatever_the_tolerance) {
    const plan::Plan plan = hostile_plan();
    engine::RunResult run = hostile_run(plan);
    run.phases[0].ledger.lost = 1;
    const auto result = report::compare_runs(hostile_summary(), report::summarize(run), 5, {});
    EXPECT_EQ(result.outcome, judge::Outcome::fail);
    EXPECT_NE(result.text.find("WORSE        lost{phase:one}"), std::string::npos) << result.text;
}

TEST(CompareRunsTest, runs_with_nothing_in_common_prove_nothing) {
    const auto result = report::compare_runs(hostile_summary(), report::Summary{}, 0.1, {});
    EXPECT_EQ(result.outcome, judge::Outcome::inconclusive);
}

TEST(CompareRunsTest, runs_that_are_not_alike_are_told_apart) {
    report::Summary other = hostile_summary();
    other.settings["synchronous_commit"] = "off";
    other.cpus += 2;
    const std::string text = report::compare_runs(hostile_summary(), other, 0.1, {}).text;
    EXPECT_NE(text.find("synchronous_commit: on / off"), std::string::npos) << text;
    EXPECT_NE(text.find("NOT ALIKE"), std::string::npos);
}
