// From gates to one outcome and one exit code: precedence, tally, and what an interrupted run may still say.
#include <gtest/gtest.h>

#include "judge/verdict.hpp"

using namespace fairq::driver;

namespace {

judge::GateResult gate(const char *metric, const char *expression, judge::Verdict verdict) {
    judge::GateResult result;
    result.gate = judge::parse_gate(metric, expression);
    result.verdict = verdict;
    return result;
}

const auto kPassed = [] { return gate("lost", "value==0", judge::Verdict::passed); };
const auto kLost = [] { return gate("lost", "value==0", judge::Verdict::failed); };
const auto kDuplicated = [] { return gate("duplicated", "value==0", judge::Verdict::failed); };
const auto kSlow = [] { return gate("poll_ms", "max<1", judge::Verdict::failed); };
const auto kOpen = [] { return gate("poll_ms", "max<1", judge::Verdict::inconclusive); };

} // namespace

TEST(VerdictTest, exit_codes_and_words_are_those_that_people_know) {
    const std::tuple<judge::Outcome, int, const char *> rows[] = {
        {judge::Outcome::pass, 0, "PASS"},         {judge::Outcome::broken, 1, "BROKEN"},
        {judge::Outcome::fail, 99, "FAIL"},        {judge::Outcome::inconclusive, 2, "INCONCLUSIVE"},
        {judge::Outcome::usage, 104, "USAGE"},     {judge::Outcome::setup, 3, "SETUP"},
        {judge::Outcome::aborted, 105, "ABORTED"}, {judge::Outcome::unwritten, 106, "UNWRITTEN"}};
    for (const auto &[outcome, code, word] : rows) {
        EXPECT_EQ(judge::exit_code(outcome), code);
        EXPECT_EQ(judge::outcome_word(outcome), word);
    }
}

TEST(VerdictTest, broken_goes_before_fail_before_inconclusive_before_aborted_before_pass) {
    EXPECT_EQ(judge::overall({kPassed(), kOpen(), kSlow(), kLost()}, true), judge::Outcome::broken);
    EXPECT_EQ(judge::overall({kPassed(), kOpen(), kSlow()}, true), judge::Outcome::fail);
    EXPECT_EQ(judge::overall({kPassed(), kOpen()}, true), judge::Outcome::inconclusive);
    EXPECT_EQ(judge::overall({kPassed()}, true), judge::Outcome::aborted);
    EXPECT_EQ(judge::overall({kPassed()}, false), judge::Outcome::pass);
}

TEST(VerdictTest, a_stopped_run_is_aborted_unless_it_has_seen_what_cannot_be_undone) {
    std::vector<judge::GateResult> unproven{kPassed(), kLost(), kSlow(), kOpen()};
    judge::skip_unproven(unproven);
    EXPECT_EQ(judge::overall(unproven, true), judge::Outcome::aborted);
    EXPECT_EQ(judge::last_line(judge::tally(unproven)), "0 passed, 0 failed, 4 skipped");
    std::vector<judge::GateResult> proven{kPassed(), kDuplicated(), kOpen()};
    judge::skip_unproven(proven);
    EXPECT_EQ(judge::overall(proven, true), judge::Outcome::broken);
    EXPECT_EQ(judge::last_line(judge::tally(proven)), "0 passed, 1 failed, 2 skipped");
}

TEST(VerdictTest, inconclusive_counts_as_failed_in_the_last_line) {
    EXPECT_EQ(judge::last_line(judge::tally({kPassed(), kPassed(), kOpen(), kSlow()})), "2 passed, 2 failed");
}
