// A criterion that cannot fail proves nothing: each is shown green on a sound run, and red on the same plan
// with one property broken on purpose.
#include "report/report.hpp"
#include "test_cluster.hpp"

using namespace fairq::driver;
using namespace fairq::test;

namespace {

const char *const kLoad1 = "ratio(drain_seconds{phase:parallel}, drain_seconds{phase:single})";

/// The metrics whose gate is not green.
std::vector<std::string> not_green(const engine::RunResult &run) {
    std::vector<std::string> metrics;
    for (const judge::GateResult &result : run.gates)
        if (result.verdict != judge::Verdict::passed && result.verdict != judge::Verdict::skipped)
            metrics.push_back(result.gate.metric_text);
    return metrics;
}

using Metrics = std::vector<std::string>;

class Criteria : public DatabaseTest {};

class CriteriaInAnotherSchema : public DatabaseTest {
protected:
    std::string schema() const override { return "My Queue"; }
};

} // namespace

TEST_F(Criteria, a_sound_run_passes_every_gate) {
    const engine::RunResult run = this->run("small", "sound");
    EXPECT_EQ(run.outcome, judge::Outcome::pass) << report::text_report(run, {});
    EXPECT_EQ(run.ledger.completed, 80);
    EXPECT_EQ(run.phases.at(0).ticks.size(), 4U);
    EXPECT_EQ(run.phases.at(1).ticks.size(), 1U);
    EXPECT_LE(gate_of(run, kLoad1).value.value_or(1), 0.4);
}

TEST_F(CriteriaInAnotherSchema, a_sound_run_passes_wherever_the_extension_is) {
    const engine::RunResult run = this->run("small", "sound");
    EXPECT_EQ(run.outcome, judge::Outcome::pass) << report::text_report(run, {});
}

TEST_F(Criteria, a_handler_that_sends_twice_turns_load2_red) {
    const engine::RunResult run = this->run("small", "sends_twice");
    EXPECT_EQ(run.outcome, judge::Outcome::broken) << report::text_report(run, {});
    EXPECT_EQ(not_green(run), (Metrics{"outbox_duplicates", "reported_duplicates", "duplicated"}));
    EXPECT_EQ(gate_of(run, "outbox_duplicates").value, 80);
    EXPECT_EQ(gate_of(run, "reported_duplicates").value, 80);
    EXPECT_EQ(run.ledger.duplicated, 80);
}

TEST_F(Criteria, four_workers_that_wait_for_one_lock_turn_load1_red) {
    const engine::RunResult run = this->run("small", "one_lock");
    EXPECT_EQ(run.outcome, judge::Outcome::fail) << report::text_report(run, {});
    EXPECT_EQ(not_green(run), Metrics{kLoad1});
    EXPECT_GT(gate_of(run, kLoad1).value.value_or(0), 0.7);
}

TEST_F(Criteria, a_claim_with_a_cap_is_fair_to_a_tenant_with_many_jobs) {
    const engine::RunResult run = this->run("small", "one_tenant");
    EXPECT_EQ(gate_of(run, "tick_tenant_claimed").verdict, judge::Verdict::passed)
        << report::text_report(run, {});
    EXPECT_EQ(gate_of(run, "tick_tenant_claimed").value, 25);
}

TEST_F(Criteria, a_claim_without_a_cap_turns_fairness_red) {
    const engine::RunResult run = this->run("small", "no_cap");
    EXPECT_EQ(run.outcome, judge::Outcome::broken) << report::text_report(run, {});
    EXPECT_EQ(gate_of(run, "tick_tenant_claimed").verdict, judge::Verdict::failed);
    EXPECT_EQ(gate_of(run, "tick_tenant_claimed").value, 40);
}

TEST_F(Criteria, a_stopped_worker_turns_the_drain_red_and_the_report_says_why) {
    const engine::RunResult run = this->run("small", "stopped");
    EXPECT_EQ(run.outcome, judge::Outcome::broken) << report::text_report(run, {});
    EXPECT_EQ(gate_of(run, "stuck").value, 40);
    EXPECT_EQ(gate_of(run, kLoad1).verdict, judge::Verdict::inconclusive);
    ASSERT_EQ(run.phases.size(), 1U) << "a phase after a stuck one would measure its rest";
    EXPECT_EQ(run.phases[0].end, engine::PhaseEnd::at_rest);
    ASSERT_TRUE(run.phases[0].stuck);
    EXPECT_EQ(run.phases[0].stuck->counts.at(0), "queued 40");
    EXPECT_NE(run.phases[0].stuck->worker_errors.at(0).find("run_job_queue_parallel"), std::string::npos);
}

TEST_F(Criteria, a_deleted_row_turns_the_count_by_id_red) {
    const engine::RunResult run = this->run("small", "deleted_row");
    EXPECT_EQ(run.outcome, judge::Outcome::broken) << report::text_report(run, {});
    EXPECT_EQ(not_green(run), Metrics{"lost"});
    EXPECT_EQ(run.ledger.lost, 1);
}

TEST_F(Criteria, a_job_of_the_runs_name_that_it_did_not_enqueue_turns_the_count_by_id_red) {
    const engine::RunResult run = this->run("small", "unexpected_row");
    EXPECT_EQ(not_green(run), Metrics{"unexpected"}) << report::text_report(run, {});
}

TEST_F(Criteria, a_job_of_somebody_else_is_reported_not_judged_and_not_taken_away) {
    const engine::RunResult run = this->run("small", "foreign_row");
    EXPECT_EQ(not_green(run), Metrics{}) << report::text_report(run, {});
    EXPECT_EQ(run.ledger.foreign, 1);
    EXPECT_EQ(database().scalar("SELECT count(*) FROM job_queue WHERE tenant_id = 'stranger'"),
              db::Cell("1"));
    ASSERT_EQ(run.notes.size(), 1U);
    EXPECT_NE(run.notes[0].find("fairq cleanup"), std::string::npos);
}

TEST_F(Criteria, a_job_of_somebody_else_in_mid_run_ends_it_before_it_would_be_cleared) {
    plan::Plan plan = test_plan("small", "sound");
    plan.phases[0].after = {"SELECT ${schema}.enqueue_job('stranger', 'load_test')"};
    const engine::RunResult run = run_quietly(plan, conninfo());
    EXPECT_EQ(run.outcome, judge::Outcome::inconclusive) << report::text_report(run, {});
    EXPECT_EQ(run.phases.at(1).end, engine::PhaseEnd::failed);
    EXPECT_NE(run.phases[1].notes.at(0).find("somebody else put 1 load_test jobs"), std::string::npos);
    EXPECT_EQ(database().scalar("SELECT count(*) FROM job_queue WHERE tenant_id = 'stranger'"),
              db::Cell("1"));
}

TEST_F(Criteria, messages_that_somebody_else_sent_twice_are_shown_and_not_judged) {
    const engine::RunResult run = this->run("small", "foreign_messages");
    EXPECT_EQ(run.outcome, judge::Outcome::pass) << report::text_report(run, {});
    EXPECT_EQ(gate_of(run, "outbox_duplicates").value, 0);
    EXPECT_EQ(gate_of(run, "reported_duplicates").value, 0);
    EXPECT_EQ(run.phases.at(1).outbox.anybodys, 1);
}

TEST_F(Criteria, a_load_that_nobody_works_on_does_not_pass) {
    const engine::RunResult run = this->run("idle", "");
    EXPECT_EQ(run.outcome, judge::Outcome::broken) << report::text_report(run, {});
    EXPECT_EQ(not_green(run), (Metrics{"stuck", "phases_complete_ratio"}));
    EXPECT_EQ(run.ledger.stuck, 20);
    ASSERT_TRUE(run.phases.at(0).stuck);
    EXPECT_EQ(run.phases[0].stuck->why.size(), 3U) << "why_not_running() of the oldest";
}

TEST_F(Criteria, a_phase_may_leave_its_jobs_to_the_next_one_where_they_are_judged) {
    const engine::RunResult run = this->run("edges", "sound");
    EXPECT_EQ(run.outcome, judge::Outcome::pass) << report::text_report(run, {});
    EXPECT_EQ(run.phases.at(0).end, engine::PhaseEnd::sent);
    EXPECT_EQ(run.ledger.completed, 30);
    EXPECT_EQ(run.ledger.acknowledged, 30);
}

TEST_F(Criteria, jobs_of_the_phase_before_are_no_unexpected_ones) {
    const engine::RunResult run = this->run("edges", "drains_both");
    EXPECT_EQ(run.outcome, judge::Outcome::pass) << report::text_report(run, {});
    EXPECT_EQ(run.ledger.completed, 30);
}

TEST_F(Criteria, jobs_that_wait_for_another_try_are_not_stuck) {
    const engine::RunResult run = this->run("edges", "fails_once", {{"drain", "true"}});
    EXPECT_EQ(run.outcome, judge::Outcome::pass) << report::text_report(run, {});
    EXPECT_EQ(run.ledger.completed, 30);
}

TEST_F(Criteria, jobs_that_end_dead_are_counted_and_not_lost) {
    const engine::RunResult run = this->run("small", "always_fails");
    EXPECT_EQ(run.outcome, judge::Outcome::broken) << report::text_report(run, {});
    EXPECT_EQ(run.ledger.dead, 80);
    EXPECT_EQ(run.ledger.lost, 0);
    EXPECT_EQ(gate_of(run, "tenant_completed_ratio").verdict, judge::Verdict::failed)
        << "no tenant made progress";
    EXPECT_EQ(gate_of(run, "outbox_duplicates").verdict, judge::Verdict::inconclusive)
        << "no message was looked at";
}

TEST_F(Criteria, a_steady_load_that_is_drained_passes_load3) {
    const engine::RunResult run = this->run("steady", "sound");
    EXPECT_EQ(run.outcome, judge::Outcome::pass) << report::text_report(run, {});
    EXPECT_EQ(run.ledger.completed, 100);
    EXPECT_EQ(gate_of(run, "offered_ratio{phase:steady}").value, 1);
}

TEST_F(Criteria, a_stopped_worker_turns_load3_red) {
    const engine::RunResult run = this->run("steady", "stopped");
    EXPECT_EQ(run.outcome, judge::Outcome::broken) << report::text_report(run, {});
    EXPECT_EQ(gate_of(run, "oldest_queued_seconds{phase:steady}").verdict, judge::Verdict::failed);
    EXPECT_EQ(run.ledger.stuck, 100);
}

TEST_F(Criteria, a_deadline_before_the_drain_is_inconclusive) {
    plan::Plan plan = test_plan("small", "sound", {{"jobs", "400"}});
    plan.phases[0].timeout = Milliseconds(1500);
    const engine::RunResult run = run_quietly(plan, conninfo());
    EXPECT_EQ(run.phases.at(0).end, engine::PhaseEnd::timeout);
    EXPECT_EQ(run.outcome, judge::Outcome::inconclusive) << report::text_report(run, {});
    EXPECT_GT(run.ledger.unfinished, 0);
}
