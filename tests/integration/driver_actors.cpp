// Calls, external workers and holders against a real queue: a sound run is green, and each property that is
// broken on purpose turns exactly its gate red.
#include <thread>

#include "errors.hpp"
#include "report/report.hpp"
#include "test_cluster.hpp"

using namespace fairq::driver;
using namespace fairq::test;

namespace {

using Metrics = std::vector<std::string>;

Metrics not_green(const engine::RunResult &run) {
    Metrics metrics;
    for (const judge::GateResult &result : run.gates)
        if (result.verdict != judge::Verdict::passed && result.verdict != judge::Verdict::skipped)
            metrics.push_back(result.gate.metric_text);
    return metrics;
}

const actors::Figures &figures_of(const engine::RunResult &run, const std::string &actor) {
    for (const actors::Figures &figures : run.phases.at(0).figures)
        if (figures.actor == actor)
            return figures;
    throw std::logic_error("there is no actor " + actor);
}

class Actors : public DatabaseTest {
protected:
    std::string setting() {
        return database()
            .scalar("SELECT array_to_string(setconfig, ',') FROM pg_db_role_setting AS s JOIN pg_database AS "
                    "d ON d.oid = setdatabase "
                    "WHERE datname = current_database()")
            .value_or("");
    }
};

} // namespace

TEST_F(Actors, a_sound_run_passes_and_every_job_is_in_the_ledger) {
    const engine::RunResult run = this->run("actors", "sound");
    EXPECT_EQ(not_green(run), Metrics{}) << report::text_report(run, {});
    EXPECT_EQ(run.ledger.completed, 100);
    EXPECT_EQ(run.ledger.tenant_jobs.size(), 4U);
    EXPECT_NE(run.ledger.tenant_jobs.begin()->first.find(run.run_id), std::string::npos)
        << "tenants have the run's name";
    const actors::Figures &clients = figures_of(run, "clients");
    EXPECT_EQ(clients.times.at("call_ms").count(), 100);
    EXPECT_GE(clients.times.at("call_ms").mean(), clients.times.at("call_service_ms").mean());
    const actors::Figures &hands = figures_of(run, "hands");
    EXPECT_EQ(hands.numbers.at("keyed_jobs"), 100);
    EXPECT_EQ(hands.times.at("pickup_ms").count(), 100);
    EXPECT_EQ(figures_of(run, "reader").numbers.at("held_ratio"), 1);
}

TEST_F(Actors, a_completion_that_is_accepted_twice_turns_the_ledger_red) {
    const engine::RunResult run = this->run("actors", "completes_twice");
    EXPECT_EQ(not_green(run), Metrics{"duplicated"}) << report::text_report(run, {});
    EXPECT_EQ(run.ledger.duplicated, 100);
}

TEST_F(Actors, a_completion_that_is_accepted_and_forgotten_turns_the_ledger_red) {
    const engine::RunResult run = this->run("actors", "never_completes");
    EXPECT_EQ(run.outcome, judge::Outcome::broken) << report::text_report(run, {});
    EXPECT_EQ(gate_of(run, "outbox").verdict, judge::Verdict::failed);
    EXPECT_EQ(run.ledger.outbox, 100);
}

TEST_F(Actors, jobs_of_one_key_that_run_beside_each_other_turn_its_gate_red) {
    const engine::RunResult run = this->run("actors", "one_key");
    EXPECT_EQ(not_green(run), Metrics{"key_overlaps{phase:load, actor:hands}"})
        << report::text_report(run, {});
    EXPECT_EQ(run.outcome, judge::Outcome::broken);
}

TEST_F(Actors, a_refusal_that_is_expected_is_an_answer) {
    const engine::RunResult run = this->run("actors", "refused");
    EXPECT_EQ(not_green(run), Metrics{}) << report::text_report(run, {});
    EXPECT_EQ(figures_of(run, "clients").numbers.at("calls_refused"), 33);
    EXPECT_EQ(run.ledger.failed, 33);
    EXPECT_EQ(run.ledger.completed, 67);
}

TEST_F(Actors, calls_that_fail_turn_their_gate_red_and_are_named) {
    const engine::RunResult run = this->run("actors", "fails");
    EXPECT_EQ(not_green(run), Metrics{"calls_failed{phase:load}"}) << report::text_report(run, {});
    EXPECT_EQ(run.outcome, judge::Outcome::fail);
    ASSERT_FALSE(run.phases.at(0).notes.empty());
    EXPECT_EQ(run.phases[0].notes[0].compare(0, 15, "clients: 22012 "), 0) << run.phases[0].notes[0];
}

TEST_F(Actors, a_call_that_waits_for_others_is_slow_from_its_planned_moment_and_hopeless_ones_are_dropped) {
    const engine::RunResult run = this->run("actors", "slow");
    EXPECT_EQ(run.outcome, judge::Outcome::fail) << report::text_report(run, {});
    EXPECT_EQ(gate_of(run, "calls_dropped").verdict, judge::Verdict::failed);
    const actors::Figures &clients = figures_of(run, "clients");
    EXPECT_GT(clients.times.at("call_ms").percentile(90),
              2 * clients.times.at("call_service_ms").percentile(90));
    EXPECT_EQ(clients.numbers.at("calls") + clients.numbers.at("calls_dropped"), 20);
    EXPECT_EQ(gate_of(run, "offered_ratio{phase:load}").verdict, judge::Verdict::inconclusive);
}

TEST_F(Actors, attempts_that_fail_come_again_and_are_counted) {
    const engine::RunResult run = this->run("actors", "fails_sometimes");
    const actors::Figures &hands = figures_of(run, "hands");
    EXPECT_GT(hands.numbers.at("failed_attempts"), 20) << report::text_report(run, {});
    EXPECT_EQ(run.ledger.completed + run.ledger.dead, 100);
    EXPECT_EQ(static_cast<double>(run.ledger.executed_again + run.ledger.dead),
              hands.numbers.at("failed_attempts"))
        << "every failed attempt but a dead job's last is followed by another";
}

TEST_F(Actors, a_worker_that_is_slower_than_its_lease_is_refused_and_nothing_is_done_twice) {
    database().query("DO $d$ BEGIN EXECUTE format('ALTER DATABASE %I SET fairq.lease_timeout = 300', "
                     "current_database()); END $d$");
    plan::Plan plan = test_plan("actors", "sound", {{"rate", "10/s"}, {"batch", "1"}});
    plan.phases[0].at_rest = Milliseconds(20'000);
    // Five leases. While one worker claims again, the leases of the others are stale, and its claim takes them back.
    plan.phases[0].external[0].work = Milliseconds(1500);
    const engine::RunResult run = run_quietly(plan, conninfo());
    EXPECT_EQ(run.ledger.completed + run.ledger.dead, 10) << report::text_report(run, {});
    EXPECT_EQ(run.ledger.duplicated, 0);
    EXPECT_GT(figures_of(run, "hands").numbers.at("stale_completions"), 0);
    EXPECT_GT(run.ledger.executed_again, 0);
}

TEST_F(Actors, a_holder_that_lost_its_session_makes_the_run_inconclusive) {
    std::thread killer([&] {
        eventually(Milliseconds(20'000), [&] {
            return database().scalar(
                       "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
                       "WHERE datname = current_database() AND application_name LIKE 'fairq holder %'") !=
                   db::Cell("0");
        });
    });
    const engine::RunResult run = this->run("actors", "sound");
    killer.join();
    EXPECT_EQ(run.outcome, judge::Outcome::inconclusive) << report::text_report(run, {});
    EXPECT_EQ(gate_of(run, "held_ratio{phase:load}").verdict, judge::Verdict::inconclusive);
}

TEST_F(Actors, cut_sessions_are_counted_and_a_fault_that_never_was_makes_the_run_inconclusive) {
    plan::Plan plan = test_plan("actors", "sound");
    plan::FaultsActor faults;
    faults.of = "worker";
    faults.first = Milliseconds(200);
    faults.every = Milliseconds(200);
    faults.times = 3;
    plan.phases[0].faults = {faults};
    judge::Gate gate = judge::parse_gate("faults_fired_ratio", "value==1");
    plan.gates.push_back(gate);
    plan.phases[0].at_rest = Milliseconds(60'000); // what a cut worker held comes back with its lease
    const engine::RunResult cut = run_quietly(plan, conninfo());
    EXPECT_EQ(cut.outcome, judge::Outcome::pass) << report::text_report(cut, {});
    EXPECT_EQ(figures_of(cut, "faults").numbers.at("faults_fired"), 3);
    EXPECT_GE(figures_of(cut, "hands").numbers.at("worker_errors"), 3);
    plan.phases[0].faults[0].of = "tick"; // there is none
    plan.phases[0].faults[0].times = 1;
    const engine::RunResult never = run_quietly(plan, conninfo());
    EXPECT_EQ(never.outcome, judge::Outcome::inconclusive) << report::text_report(never, {});
    EXPECT_EQ(not_green(never), Metrics{"faults_fired_ratio"});
}

TEST_F(Actors, a_plan_that_stops_the_server_is_refused_on_somebodys) {
    plan::Plan plan = test_plan("actors", "sound");
    plan::FaultsActor faults;
    faults.kind = plan::FaultKind::kill_server;
    plan.phases[0].faults = {faults};
    try {
        run_quietly(plan, conninfo());
        ADD_FAILURE() << "not refused";
    } catch (const SetupError &error) {
        EXPECT_NE(
            std::string(error.what()).find("actors stops its server: it runs on a throw-away cluster only"),
            std::string::npos)
            << error.what();
    }
}

TEST_F(Actors, what_a_plan_undoes_is_undone_however_the_run_ends) {
    plan::Plan plan = test_plan("actors", "fails_sometimes");
    plan.undo = {"DO $d$ BEGIN EXECUTE format('ALTER DATABASE %I RESET fairq.backoff_base', "
                 "current_database()); END $d$"};
    run_quietly(plan, conninfo());
    EXPECT_EQ(setting(), "");
    plan.phases[0].before.push_back("SELECT 1 / 0");
    EXPECT_EQ(run_quietly(plan, conninfo()).outcome, judge::Outcome::inconclusive);
    EXPECT_EQ(setting(), "");
}
