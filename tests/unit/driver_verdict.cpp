// From gates to one outcome and one exit code: precedence, tally, and what an interrupted run may still say.
#include <gtest/gtest.h>

#include "verdict.hpp"

using namespace fairq::driver;

namespace {

GateResult gate(const char *metric, const char *expression, Verdict verdict) {
    GateResult result;
    result.gate = parse_gate(metric, expression);
    result.verdict = verdict;
    return result;
}

const auto kPassed = [] { return gate("lost", "value==0", Verdict::passed); };
const auto kLost = [] { return gate("lost", "value==0", Verdict::failed); };
const auto kDuplicated = [] { return gate("duplicated", "value==0", Verdict::failed); };
const auto kSlow = [] { return gate("poll_ms", "max<1", Verdict::failed); };
const auto kOpen = [] { return gate("poll_ms", "max<1", Verdict::inconclusive); };

} // namespace

TEST(VerdictTest, exit_codes_and_words_are_those_that_people_know) {
    const std::tuple<Outcome, int, const char *> rows[] = {
        {Outcome::pass, 0, "PASS"},        {Outcome::broken, 1, "BROKEN"},
        {Outcome::fail, 99, "FAIL"},       {Outcome::inconclusive, 2, "INCONCLUSIVE"},
        {Outcome::usage, 104, "USAGE"},    {Outcome::setup, 3, "SETUP"},
        {Outcome::aborted, 105, "ABORTED"}};
    for (const auto &[outcome, code, word] : rows) {
        EXPECT_EQ(exit_code(outcome), code);
        EXPECT_EQ(outcome_word(outcome), word);
    }
}

TEST(VerdictTest, broken_goes_before_fail_before_inconclusive_before_aborted_before_pass) {
    EXPECT_EQ(overall({kPassed(), kOpen(), kSlow(), kLost()}, true), Outcome::broken);
    EXPECT_EQ(overall({kPassed(), kOpen(), kSlow()}, true), Outcome::fail);
    EXPECT_EQ(overall({kPassed(), kOpen()}, true), Outcome::inconclusive);
    EXPECT_EQ(overall({kPassed()}, true), Outcome::aborted);
    EXPECT_EQ(overall({kPassed()}, false), Outcome::pass);
}

TEST(VerdictTest, a_stopped_run_is_aborted_unless_it_has_seen_what_cannot_be_undone) {
    std::vector<GateResult> unproven{kPassed(), kLost(), kSlow(), kOpen()};
    skip_unproven(unproven);
    EXPECT_EQ(overall(unproven, true), Outcome::aborted);
    EXPECT_EQ(last_line(tally(unproven)), "0 passed, 0 failed, 4 skipped");
    std::vector<GateResult> proven{kPassed(), kDuplicated(), kOpen()};
    skip_unproven(proven);
    EXPECT_EQ(overall(proven, true), Outcome::broken);
    EXPECT_EQ(last_line(tally(proven)), "0 passed, 1 failed, 2 skipped");
}

TEST(VerdictTest, inconclusive_counts_as_failed_in_the_last_line) {
    EXPECT_EQ(last_line(tally({kPassed(), kPassed(), kOpen(), kSlow()})), "2 passed, 2 failed");
}
