// From what phases found out to the outcome: what a server could not show is skipped and said, a gate that ended the run
// stays failed, and gates that are judged early see who still acts.
#include <gtest/gtest.h>

#include "engine/abort.hpp"

using namespace fairq::driver;

namespace {

plan::Plan plan_with(const judge::Gate &gate) {
    plan::Plan plan;
    plan.phases.emplace_back();
    plan.phases[0].name = "p";
    plan.gates = {gate};
    return plan;
}

engine::PhaseResult drained() {
    engine::PhaseResult phase;
    phase.name = "p";
    phase.wall_seconds = 10;
    phase.ledger.acknowledged = phase.ledger.completed = 4;
    return phase;
}

judge::GateResult concluded(const plan::Plan &plan, const engine::PhaseResult &phase) {
    engine::RunResult run;
    run.plan = &plan;
    run.phases = {phase};
    measure::Samples samples;
    add_samples(samples, phase);
    conclude(run, samples);
    return run.gates.at(0);
}

class Acts : public actors::Actor {
public:
    explicit Acts(double calls) : calls_(calls) {}
    actors::Figures so_far() override {
        actors::Figures figures;
        figures.actor = "clients";
        figures.numbers["calls_failed"] = calls_;
        return figures;
    }
    actors::Figures stop() override { return {}; }

private:
    const double calls_;
};

std::vector<std::unique_ptr<actors::Actor>> acting(double failed) {
    std::vector<std::unique_ptr<actors::Actor>> actors;
    actors.push_back(std::make_unique<Acts>(failed));
    return actors;
}

} // namespace

TEST(ConcludeTest, a_history_that_the_server_could_not_give_is_skipped_and_said) {
    const plan::Plan plan = plan_with(judge::parse_gate("cap_violations{phase:p}", "value==0"));
    engine::PhaseResult phase = drained();
    EXPECT_EQ(concluded(plan, phase).verdict, judge::Verdict::inconclusive) << "it was lost";
    phase.no_history = "the server has no wal_level = logical";
    EXPECT_EQ(concluded(plan, phase).verdict, judge::Verdict::skipped);
    EXPECT_EQ(concluded(plan, phase).note, phase.no_history);
    phase.no_history.clear();
    phase.judged_claims = 7;
    EXPECT_EQ(concluded(plan, phase).verdict, judge::Verdict::passed);
    phase.ledger.cap_violations = 1;
    EXPECT_EQ(concluded(plan, phase).verdict, judge::Verdict::failed);
}

TEST(ConcludeTest, leaks_are_looked_for_when_a_phase_has_drained) {
    const plan::Plan plan = plan_with(judge::parse_gate("leaks", "value==0"));
    engine::PhaseResult phase = drained();
    EXPECT_EQ(concluded(plan, phase).verdict, judge::Verdict::inconclusive) << "nobody could look";
    phase.end = engine::PhaseEnd::timeout;
    EXPECT_EQ(concluded(plan, phase).verdict, judge::Verdict::skipped);
    phase.end = engine::PhaseEnd::drained;
    phase.leaks_looked = true;
    EXPECT_EQ(concluded(plan, phase).verdict, judge::Verdict::passed);
}

TEST(ConcludeTest, a_gate_that_ended_the_run_stays_failed) {
    judge::Gate gate = judge::parse_gate("worker_errors", "value<5");
    gate.abort_on_fail = true;
    const plan::Plan plan = plan_with(gate);
    engine::PhaseResult phase = drained();
    phase.figures.emplace_back();
    phase.figures[0].numbers["worker_errors"] = 1;
    EXPECT_EQ(concluded(plan, phase).verdict, judge::Verdict::passed);
    phase.stopped_by = judge::GateResult{};
    phase.stopped_by->gate = gate;
    phase.stopped_by->verdict = judge::Verdict::failed;
    EXPECT_EQ(concluded(plan, phase).verdict, judge::Verdict::failed);
}

TEST(AbortTest, a_gate_ends_the_run_when_it_may_and_sees_who_still_acts) {
    judge::Gate gate = judge::parse_gate("calls_failed", "value<5");
    const engine::PhaseResult phase = drained();
    const auto ends = [&](double failed) {
        return failed_early(plan_with(gate), phase, acting(failed), nullptr).has_value();
    };
    EXPECT_FALSE(ends(9)) << "it did not ask for it";
    gate.abort_on_fail = true;
    EXPECT_TRUE(ends(9));
    EXPECT_FALSE(ends(4));
    gate.delay_abort = Milliseconds(10'001);
    EXPECT_FALSE(ends(9)) << "it is too early";
}
