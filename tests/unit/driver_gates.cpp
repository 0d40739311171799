// The gate grammar and the verdict of every kind of gate over samples.
#include <tuple>

#include <gtest/gtest.h>

#include "judge/gates.hpp"

using namespace fairq::driver;

namespace {

measure::Samples ages(std::initializer_list<double> values) {
    measure::Samples samples;
    for (const double value : values)
        samples.add("oldest_queued_seconds", "steady", value);
    return samples;
}

std::string refusal(const char *metric, const char *expression) {
    try {
        judge::parse_gate(metric, expression);
        return "";
    } catch (const judge::GateError &error) {
        return error.what();
    }
}

} // namespace

TEST(Gates, a_gate_has_metric_selector_aggregation_comparison_and_limit) {
    const judge::Gate gate = judge::parse_gate("oldest_queued_seconds{phase:steady}", "max < 180");
    ASSERT_EQ(gate.operands.size(), 1U);
    EXPECT_EQ(gate.operands[0].metric, "oldest_queued_seconds");
    EXPECT_EQ(gate.operands[0].phase, "steady");
    EXPECT_EQ(gate.expected.aggregation, judge::Aggregation::max);
    EXPECT_EQ(gate.expected.comparison, judge::Comparison::less);
    EXPECT_EQ(gate.expected.limit, 180);
    EXPECT_EQ(gate.min_samples, 1U);
    EXPECT_EQ(gate.gate_class, measure::GateClass::threshold);
}

TEST(Gates, a_ratio_has_two_operands_with_selectors_of_their_own) {
    const judge::Gate gate = judge::parse_gate(
        "ratio(drain_seconds{phase:parallel}, drain_seconds{ phase : single })", "value<=0.40");
    ASSERT_EQ(gate.operands.size(), 2U);
    EXPECT_EQ(gate.operands[0].phase, "parallel");
    EXPECT_EQ(gate.operands[1].phase, "single");
}

TEST(Gates, a_selector_may_name_phase_and_actor) {
    const judge::Gate gate =
        judge::parse_gate("ratio(call_ms{phase:a, actor:x}, call_ms{actor:y,phase:b})", "p(95)<2");
    ASSERT_EQ(gate.operands.size(), 2U);
    EXPECT_EQ(gate.operands[0].phase, "a");
    EXPECT_EQ(gate.operands[0].actor, "x");
    EXPECT_EQ(gate.operands[1].phase, "b");
    EXPECT_EQ(gate.operands[1].actor, "y");
}

TEST(Gates, times_are_judged_in_milliseconds_one_actor_by_itself_and_all_by_the_worst) {
    measure::Histogram quick, slow;
    for (int i = 0; i < 1000; ++i) {
        quick.record(1000);
        slow.record(i < 900 ? 1000 : 80'000);
    }
    measure::Samples samples;
    samples.add("call_ms", "load", "quick", quick);
    samples.add("call_ms", "load", "slow", slow);
    const auto value = [&](const char *metric, const char *expression) {
        return judge::judge(judge::parse_gate(metric, expression), samples).value.value_or(-1);
    };
    EXPECT_NEAR(value("call_ms{actor:quick}", "p(99)<50"), 1, 0.01);
    EXPECT_NEAR(value("call_ms{actor:slow}", "p(99)<50"), 80, 0.1);
    EXPECT_NEAR(value("call_ms", "p(99)<50"), 80, 0.1);
    EXPECT_NEAR(value("call_ms", "avg<50"), 8.9, 0.01);
    EXPECT_EQ(value("call_ms{actor:quick}", "count<5000"), 1000);
    EXPECT_EQ(judge::judge(judge::parse_gate("call_ms{phase:other}", "max<1"), samples).verdict,
              judge::Verdict::inconclusive);
    EXPECT_EQ(judge::judge(judge::parse_gate("call_ms{actor:quick}", "p(99.9)<1"), samples).note,
              "1000 samples, 10000 needed");
}

TEST(Gates, a_percentile_needs_ten_samples_beyond_it_unless_the_plan_says_otherwise) {
    EXPECT_EQ(judge::parse_gate("poll_ms", "p(95)<50").min_samples, 200U);
    EXPECT_EQ(judge::parse_gate("poll_ms", "p(99.9)<50").min_samples, 10'000U);
    EXPECT_EQ(judge::parse_gate("poll_ms", "p(95)<50", 5).min_samples, 5U);
}

TEST(Gates, text_that_is_no_gate_is_refused_with_what_is_wrong) {
    EXPECT_EQ(refusal("no_such_metric_at_all", "value==0"), "unknown metric \"no_such_metric_at_all\"");
    EXPECT_EQ(refusal("drain_second", "value==0"),
              "unknown metric \"drain_second\"; did you mean \"drain_seconds\"?");
    EXPECT_NE(
        refusal("poll_ms{steady}", "max<1").find("must look like {phase:name} or {phase:name, actor:name}"),
        std::string::npos);
    EXPECT_NE(refusal("poll_ms{phase:}", "max<1").find("must look like"), std::string::npos);
    EXPECT_NE(refusal("poll_ms{phase:x", "max<1").find("must look like"), std::string::npos);
    EXPECT_NE(refusal("ratio(poll_ms)", "max<1").find("needs two metrics"), std::string::npos);
    EXPECT_NE(refusal("poll_ms", "max 5").find("has no comparison"), std::string::npos);
    EXPECT_NE(refusal("poll_ms", "mean<5").find("unknown aggregation \"mean\""), std::string::npos);
    EXPECT_NE(refusal("poll_ms", "max<five").find("is not a number"), std::string::npos);
    EXPECT_NE(refusal("poll_ms", "max<").find("is not a number"), std::string::npos);
    EXPECT_NE(refusal("poll_ms", "max<nan").find("is not a number"), std::string::npos);
    EXPECT_NE(refusal("poll_ms", "p(0)<5").find("a percentile lies"), std::string::npos);
    EXPECT_NE(refusal("poll_ms", "p(101)<5").find("a percentile lies"), std::string::npos);
    EXPECT_NE(refusal("poll_ms", "value<5").find("is a trend"), std::string::npos);
    EXPECT_NE(refusal("lost", "max<5").find("is one number"), std::string::npos);
    EXPECT_NE(refusal("", "max<5").find("unknown metric"), std::string::npos);
    EXPECT_NE(refusal("poll_ms", "rate<5").find("has no rate"), std::string::npos);
    EXPECT_NE(refusal("slope(lost)", "value<5/min").find("has no slope"), std::string::npos);
    EXPECT_NE(refusal("slope(poll_ms)", "value<5").find("needs a time"), std::string::npos);
    EXPECT_NE(refusal("slope(poll_ms)", "value<5/week").find("needs a time"), std::string::npos);
    EXPECT_NE(refusal("poll_ms", "max<2 baseline").find("1.1*baseline"), std::string::npos);
}

TEST(Gates, every_comparison_holds_and_fails_at_its_limit) {
    struct Row {
        const char *expression;
        bool at_two, at_three, at_four;
    };
    const Row rows[] = {{"max<3", true, false, false},  {"max<=3", true, true, false},
                        {"max>3", false, false, true},  {"max>=3", false, true, true},
                        {"max==3", false, true, false}, {"max!=3", true, false, true}};
    for (const Row &row : rows) {
        const judge::Gate gate = judge::parse_gate("oldest_queued_seconds", row.expression);
        EXPECT_EQ(judge::judge(gate, ages({2})).verdict == judge::Verdict::passed, row.at_two)
            << row.expression;
        EXPECT_EQ(judge::judge(gate, ages({3})).verdict == judge::Verdict::passed, row.at_three)
            << row.expression;
        EXPECT_EQ(judge::judge(gate, ages({4})).verdict == judge::Verdict::passed, row.at_four)
            << row.expression;
    }
}

TEST(Gates, every_aggregation_has_its_value) {
    const measure::Samples samples = ages({4, 1, 3, 2});
    const std::pair<const char *, double> rows[] = {
        {"avg<9", 2.5}, {"min<9", 1}, {"max<9", 4}, {"med<9", 2}, {"count<9", 4}};
    for (const auto &[expression, value] : rows)
        EXPECT_EQ(judge::judge(judge::parse_gate("oldest_queued_seconds", expression), samples).value, value)
            << expression;
    EXPECT_EQ(judge::judge(judge::parse_gate("oldest_queued_seconds", "p(75)<9", 1), samples).value, 3);
    EXPECT_EQ(judge::judge(judge::parse_gate("oldest_queued_seconds", "p(100)<9"), samples).value, 4);
}

TEST(Gates, a_gate_without_samples_is_inconclusive_and_says_so) {
    const judge::GateResult result =
        judge::judge(judge::parse_gate("oldest_queued_seconds", "max<180"), measure::Samples{});
    EXPECT_EQ(result.verdict, judge::Verdict::inconclusive);
    EXPECT_FALSE(result.value);
    EXPECT_EQ(result.note, "no samples of oldest_queued_seconds");
}

TEST(Gates, samples_of_another_phase_do_not_count) {
    EXPECT_EQ(
        judge::judge(judge::parse_gate("oldest_queued_seconds{phase:other}", "max<180"), ages({1})).verdict,
        judge::Verdict::inconclusive);
}

TEST(Gates, fewer_samples_than_needed_are_inconclusive) {
    const judge::GateResult result =
        judge::judge(judge::parse_gate("oldest_queued_seconds", "max<180", 4), ages({1, 2, 3}));
    EXPECT_EQ(result.verdict, judge::Verdict::inconclusive);
    EXPECT_EQ(result.note, "3 samples, 4 needed");
}

TEST(Gates, a_ratio_compares_two_phases_and_needs_both) {
    const judge::Gate gate =
        judge::parse_gate("ratio(drain_seconds{phase:parallel}, drain_seconds{phase:single})", "value<=0.40");
    measure::Samples samples;
    samples.add("drain_seconds", "single", 20, 1000);
    EXPECT_EQ(judge::judge(gate, samples).verdict, judge::Verdict::inconclusive);
    samples.add("drain_seconds", "parallel", 8, 900);
    const judge::GateResult result = judge::judge(gate, samples);
    EXPECT_EQ(result.verdict, judge::Verdict::passed);
    EXPECT_DOUBLE_EQ(*result.value, 0.4);
    EXPECT_EQ(result.samples, 900U);
}

TEST(Gates, a_ratio_to_zero_is_inconclusive) {
    measure::Samples samples;
    samples.add("drain_seconds", "a", 1);
    samples.add("drain_seconds", "b", 0);
    EXPECT_EQ(
        judge::judge(judge::parse_gate("ratio(drain_seconds{phase:a}, drain_seconds{phase:b})", "value<1"),
                     samples)
            .verdict,
        judge::Verdict::inconclusive);
}

TEST(Gates, a_counter_is_the_sum_of_its_phases_and_zero_of_many_is_a_pass) {
    measure::Samples samples;
    samples.add("lost", "one", 0, 100);
    const judge::Gate gate = judge::parse_gate("lost", "value==0");
    EXPECT_EQ(judge::judge(gate, samples).verdict, judge::Verdict::passed);
    samples.add("lost", "two", 3, 100);
    const judge::GateResult result = judge::judge(gate, samples);
    EXPECT_EQ(result.verdict, judge::Verdict::failed);
    EXPECT_EQ(result.value, 3);
    EXPECT_EQ(result.samples, 200U);
}

TEST(Gates, a_driver_that_did_not_keep_up_makes_the_run_inconclusive_and_not_red) {
    measure::Samples samples;
    samples.add("offered_ratio", "steady", 0.5, 100);
    EXPECT_EQ(judge::judge(judge::offered_gate("steady"), samples).verdict, judge::Verdict::inconclusive);
}

TEST(Gates, a_gauge_of_several_phases_is_judged_by_the_worst_of_them) {
    measure::Samples samples;
    samples.add("drain_seconds", "one", 100, 10);
    samples.add("drain_seconds", "two", 1, 10);
    const std::tuple<const char *, double, judge::Verdict> rows[] = {
        {"value<50", 100, judge::Verdict::failed}, {"value<=100", 100, judge::Verdict::passed},
        {"value>50", 1, judge::Verdict::failed},   {"value>=1", 1, judge::Verdict::passed},
        {"value==1", 100, judge::Verdict::failed}, {"value!=1", 1, judge::Verdict::failed},
        {"value==100", 1, judge::Verdict::failed}, {"value!=100", 100, judge::Verdict::failed}};
    for (const auto &[expression, worst, verdict] : rows) {
        const judge::GateResult result =
            judge::judge(judge::parse_gate("drain_seconds", expression), samples);
        EXPECT_EQ(result.value, worst) << expression;
        EXPECT_EQ(result.verdict, verdict) << expression;
    }
}

TEST(Gates, a_trend_of_several_phases_is_judged_by_the_worst_of_them) {
    measure::Samples samples;
    for (int i = 0; i < 1000; ++i)
        samples.add("poll_ms", "quick", 1);
    for (int i = 0; i < 10; ++i)
        samples.add("poll_ms", "slow", 500); // less than one in a hundred of all
    EXPECT_EQ(judge::judge(judge::parse_gate("poll_ms", "p(99)<50"), samples).value, 500);
    EXPECT_EQ(judge::judge(judge::parse_gate("poll_ms", "avg<50"), samples).value, 500);
    EXPECT_EQ(judge::judge(judge::parse_gate("poll_ms{phase:quick}", "p(99)<50"), samples).value, 1);
}

TEST(Gates, a_ratio_without_phases_compares_each_phase_with_itself) {
    measure::Samples samples;
    samples.add("drain_seconds", "one", 8);
    samples.add("drain_jobs_per_second", "one", 4);
    samples.add("drain_seconds", "two", 9);
    samples.add("drain_jobs_per_second", "two", 3);
    const judge::Gate gate = judge::parse_gate("ratio(drain_seconds, drain_jobs_per_second)", "value<2.5");
    EXPECT_EQ(judge::judge(gate, samples).value, 3);
}

TEST(Gates, the_standing_gates_say_that_all_is_completed_exactly_once) {
    std::vector<std::string> metrics;
    for (const judge::Gate &gate : judge::ledger_gates())
        metrics.push_back(gate.metric_text);
    EXPECT_EQ(metrics, (std::vector<std::string>{"lost", "duplicated", "unexpected", "stuck", "outbox",
                                                 "early", "out_of_order", "leaks", "dead_letters",
                                                 "unfinished", "phases_complete_ratio"}));
    for (const judge::Gate &gate : judge::ledger_gates())
        EXPECT_NE(gate.gate_class, measure::GateClass::threshold) << gate.metric_text;
}

TEST(Gates, a_counter_has_a_rate_by_the_second_of_its_phases_and_a_ratio_is_one) {
    measure::Samples samples;
    samples.lasted("load", 20);
    samples.add("calls", "load", 300, 300, "one");
    samples.add("calls", "load", 100, 100, "two");
    samples.add("calls_failed_ratio", "load", 0.02, 300, "one");
    const auto judged = [&](const char *metric, const char *expression) {
        return judge::judge(judge::parse_gate(metric, expression), samples);
    };
    EXPECT_EQ(judged("calls", "rate>=20").value, 20);
    EXPECT_EQ(judged("calls{actor:two}", "rate>=20").value, 5);
    EXPECT_EQ(judged("calls_failed_ratio", "rate<0.01").verdict, judge::Verdict::failed);
    measure::Samples timeless;
    timeless.add("calls", "load", 300, 300);
    EXPECT_EQ(judge::judge(judge::parse_gate("calls", "rate>1"), timeless).note,
              "nobody knows how long calls was counted");
}

TEST(Gates, a_gate_picks_the_actors_that_carry_its_tags) {
    measure::Samples samples;
    samples.tag("load", "pay", {{"kind", "write"}, {"page", "checkout"}});
    samples.tag("load", "see", {{"kind", "read"}, {"page", "checkout"}});
    samples.add("calls", "load", 3, 3, "pay");
    samples.add("calls", "load", 4, 4, "see");
    const auto value = [&](const char *metric) {
        return judge::judge(judge::parse_gate(metric, "value>0"), samples).value.value_or(-1);
    };
    EXPECT_EQ(value("calls{kind:write}"), 3);
    EXPECT_EQ(value("calls{page:checkout}"), 7);
    EXPECT_EQ(value("calls{phase:load, kind:read, page:checkout}"), 4);
    EXPECT_EQ(value("calls{kind:other}"), -1);
}

TEST(Gates, a_slope_is_that_of_the_last_three_quarters_and_no_outlier_changes_it) {
    measure::Samples rising, flat;
    for (int second = 0; second < 120; ++second) {
        rising.add_at("poll_ms", "soak", second, second < 30 ? 500 : second == 60 ? 9000 : 2.0 * second);
        flat.add_at("poll_ms", "soak", second, second < 30 ? 100.0 - second : 7);
    }
    const judge::Gate gate = judge::parse_gate("slope(poll_ms)", "value<60/min");
    EXPECT_NEAR(*judge::judge(gate, rising).value, 120, 0.01);
    EXPECT_EQ(judge::judge(gate, rising).verdict, judge::Verdict::failed);
    EXPECT_NEAR(*judge::judge(gate, flat).value, 0, 0.01);
    EXPECT_EQ(judge::judge(gate, flat).verdict, judge::Verdict::passed);
    EXPECT_NEAR(*judge::judge(judge::parse_gate("slope(poll_ms)", "value<1/h"), rising).value, 7200, 0.01);
    measure::Samples few;
    for (int second = 0; second < 5; ++second)
        few.add_at("poll_ms", "soak", second, 1);
    EXPECT_EQ(judge::judge(gate, few).verdict, judge::Verdict::inconclusive);
}

TEST(Gates, every_window_has_to_hold_not_the_whole_on_average) {
    measure::Samples samples;
    measure::Histogram all;
    std::vector<measure::Slice> slices;
    for (int second = 0; second < 100; ++second) {
        measure::Slice slice{static_cast<double>(second), second + 1.0, measure::Histogram()};
        for (int i = 0; i < 100; ++i) {
            all.record(second == 42 ? 90'000 : 1000);
            slice.times.record(second == 42 ? 90'000 : 1000);
        }
        slices.push_back(slice);
        samples.add_at("oldest_queued_seconds", "load", second, second / 10 == 7 ? 60 : 1);
    }
    samples.add("call_ms", "load", "clients", all, slices);
    judge::Gate calls = judge::parse_gate("call_ms", "p(95)<50");
    EXPECT_EQ(judge::judge(calls, samples).verdict, judge::Verdict::passed) << "one second in a hundred";
    judge::set_window(calls, Milliseconds(10'000));
    const judge::GateResult result = judge::judge(calls, samples);
    EXPECT_EQ(result.verdict, judge::Verdict::failed);
    EXPECT_NEAR(*result.value, 90, 0.1);
    EXPECT_EQ(result.note, "the worst of 10 windows of 10s");
    judge::Gate oldest = judge::parse_gate("oldest_queued_seconds", "avg<30");
    EXPECT_EQ(judge::judge(oldest, samples).verdict, judge::Verdict::passed);
    judge::set_window(oldest, Milliseconds(10'000));
    EXPECT_EQ(judge::judge(oldest, samples).value, 60);
    oldest.min_samples = 11;
    EXPECT_EQ(judge::judge(oldest, samples).note, "none of 10 windows has 11 samples");
    judge::Gate counter = judge::parse_gate("calls", "value>0");
    EXPECT_THROW(judge::set_window(counter, Milliseconds(10'000)), judge::GateError);
}

TEST(Gates, levels_say_how_well_a_gate_held) {
    judge::Gate gate = judge::parse_gate("oldest_queued_seconds", "max<500");
    judge::set_levels(gate, "max<100", "max<1000");
    const std::tuple<double, judge::Verdict, judge::Level> rows[] = {
        {99, judge::Verdict::passed, judge::Level::target},
        {100, judge::Verdict::passed, judge::Level::acceptable},
        {500, judge::Verdict::failed, judge::Level::missed},
        {1000, judge::Verdict::failed, judge::Level::critical}};
    for (const auto &[value, verdict, level] : rows) {
        EXPECT_EQ(judge::judge(gate, ages({value})).verdict, verdict) << value;
        EXPECT_EQ(judge::judge(gate, ages({value})).level, level) << value;
    }
    EXPECT_EQ(judge::judge(gate, ages({100})).note, "acceptable, but short of the target max<100");
    judge::Gate more = judge::parse_gate("drain_jobs_per_second", "value>=50");
    EXPECT_NO_THROW(judge::set_levels(more, "value>=100", "value>=10"));
    for (const auto &[target, critical] :
         {std::pair("max<600", ""), std::pair("", "max<100"), std::pair("max>100", ""),
          std::pair("avg<100", ""), std::pair("max==1", "")}) {
        judge::Gate wrong = judge::parse_gate("oldest_queued_seconds", "max<500");
        EXPECT_THROW(judge::set_levels(wrong, target, critical), judge::GateError) << target << critical;
    }
}

TEST(Gates, a_baseline_is_what_an_earlier_run_had) {
    const judge::Gate gate = judge::parse_gate("oldest_queued_seconds", "max <= 1.1*baseline");
    const judge::Baseline baseline{{judge::baseline_key("oldest_queued_seconds", "max<180"), 100}};
    EXPECT_EQ(judge::judge(gate, ages({110}), &baseline).verdict, judge::Verdict::passed);
    EXPECT_EQ(judge::judge(gate, ages({111}), &baseline).verdict, judge::Verdict::failed);
    EXPECT_NEAR(*judge::judge(gate, ages({111}), &baseline).limit, 110, 0.001);
    EXPECT_EQ(judge::judge(gate, ages({110})).verdict, judge::Verdict::skipped);
    const judge::Baseline other{{"poll_ms max", 100}};
    EXPECT_EQ(judge::judge(gate, ages({110}), &other).verdict, judge::Verdict::inconclusive);
}

TEST(Gates, what_may_not_get_worse_than_a_baseline_is_every_threshold_with_a_direction) {
    const std::vector<judge::Gate> gates = judge::regression_gates(
        {judge::parse_gate("poll_ms", "p(95)<50"), judge::parse_gate("drain_jobs_per_second", "value>=10"),
         judge::parse_gate("lost", "value==0"), judge::parse_gate("ticks", "value==3"),
         judge::parse_gate("poll_ms", "max<2*baseline")},
        0.25);
    ASSERT_EQ(gates.size(), 2U);
    EXPECT_EQ(gates[0].expression, "p(95)<=1.25*baseline");
    EXPECT_EQ(gates[1].expression, "value>=0.75*baseline");
}

TEST(Gates, titles_fit_the_report) {
    for (const measure::MetricInfo &metric : measure::known_metrics())
        EXPECT_LE(metric.meaning.size(), 44U) << metric.name;
}
