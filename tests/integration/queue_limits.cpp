// The caps are exact: 32 sessions, 200 tenants, caps that change, sessions that are killed; and no commit
// ever brings a tenant above its cap. The same hammer finds what goes wrong in a library that has no tenant
// lock.
//
// FAIRQ_HAMMER_SECONDS says how long (a minute is a good length by hand), FAIRQ_TEST_SEED with which random
// numbers.
#include <cstdlib>
#include <iostream>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "altered_installation.hpp"
#include "db/history.hpp"
#include "judge/history.hpp"
#include "queue_limits_hammer.hpp"

using namespace fairq::driver;
using namespace fairq::test;

namespace {

constexpr double kUsualSeconds = 20;
constexpr double kUnlockedSeconds = 5;
constexpr int kJobsAfter = 20; // of each tenant: more than any cap

using Sentences = std::vector<std::string>;

double hammer_seconds() {
    const char *const given = std::getenv("FAIRQ_HAMMER_SECONDS");
    return given != nullptr ? std::strtod(given, nullptr) : kUsualSeconds;
}

HammerOutcome storm(Database &database, History &history, double seconds) {
    const std::string name = database.scalar("SELECT current_database()").value();
    for (const char *setting :
         {"fairq.backoff_base = '1ms'", "fairq.backoff_max = '20ms'", "fairq.lease_timeout = '300ms'"})
        database.query(fmt::format("ALTER DATABASE {} SET {}", name, setting));
    database.disconnect(); // for the settings
    history.begin();
    HammerPlan plan;
    plan.seconds = seconds;
    plan.seed = test_seed();
    return hammer_limits(database.conninfo(), plan);
}

Judgement judged_storm(History &history, const HammerOutcome &outcome) {
    HistoryJudge judge;
    history.end([&](const Commit &commit) { judge.see(commit); });
    Judgement judged = judge.result();
    std::cout << fmt::format(
        "{} jobs, {} completed, {} cap changes; {} claims, {} times of a capped tenant: {} to the "
        "brim, {} with a cap that changed meanwhile, {} beside claims without a cap\n",
        judged.jobs.size(), outcome.completed.size(), outcome.cap_changes, judged.claims,
        judged.of_capped_tenants, judged.to_the_brim, judged.with_choice, judged.spared);
    for (const auto &[what, times] : outcome.met)
        std::cout << fmt::format("{}: {}\n", what, times);
    return judged;
}

std::vector<std::int64_t> not_in_history(Database &database, const std::vector<std::int64_t> &ids,
                                         const std::string &status) {
    std::vector<std::int64_t> missing;
    for (const Row &row : database.query(fmt::format("SELECT id FROM unnest($1::bigint[]) AS id EXCEPT "
                                                     "SELECT id FROM job_history WHERE {}",
                                                     status),
                                         {id_array(ids)}))
        missing.push_back(std::stoll(row[0].value()));
    return missing;
}

class Limits : public DatabaseTest {
protected:
    void expect_all_ended(HammerOutcome &outcome) {
        EXPECT_TRUE(drain(conninfo(), outcome));
        EXPECT_EQ(number(database(), "SELECT reclaim_stuck_jobs('1 microsecond')"), 0);
        EXPECT_EQ(number(database(), "SELECT count(*) FROM job_leases"), 0);
    }

    // Of new jobs, exactly as many can be claimed as the cap says.
    void expect_caps_are_free() {
        for (int i = 0; i < kJobsAfter; ++i)
            database().query(
                fmt::format("SELECT enqueue_jobs((SELECT array_agg(format('tenant-%s', lpad(n::text, 3, "
                            "'0'))) FROM generate_series(0, {}) AS n), 'after')",
                            HammerPlan{}.tenants - 1));
        while (!claim(database(), 10'000).ids.empty()) {
        }
        Sentences wrong;
        for (const Row &row : database().query(
                 "SELECT concat_ws(' ', tenant_id, 'has', count(*) FILTER (WHERE status = 'locked'), 'locked "
                 "jobs, its "
                 "cap is', l.max_concurrency) FROM job_live LEFT JOIN tenant_limits l USING (tenant_id) "
                 "GROUP BY tenant_id, l.max_concurrency HAVING count(*) FILTER (WHERE status = 'locked') <> "
                 "coalesce(l.max_concurrency, count(*))"))
            wrong.push_back(row[0].value());
        EXPECT_EQ(wrong, Sentences{});
        EXPECT_EQ(number(database(), "SELECT count(DISTINCT tenant_id) FROM job_live"), HammerPlan{}.tenants);
        database().query("SELECT complete_jobs(job_ids, lock_token) FROM job_leases");
    }

    void expect_each_job_ended_once(const Judgement &judged, const HammerOutcome &outcome) {
        const std::vector<std::int64_t> none;
        const auto jobs = static_cast<std::int64_t>(judged.jobs.size());
        EXPECT_EQ(number(database(), "SELECT count(*) FROM job_live"), 0);
        EXPECT_EQ(number(database(), "SELECT count(*) FROM job_history"), jobs);
        EXPECT_EQ(not_in_history(database(), judged.jobs, "true"), none);
        EXPECT_EQ(not_in_history(database(), outcome.enqueued, "true"), none);
        EXPECT_EQ(not_in_history(database(), outcome.completed, "status = 'completed'"), none);
        EXPECT_EQ(not_in_history(database(), outcome.cancelled, "status = 'cancelled'"), none);
        const std::set<std::int64_t> accepted(outcome.completed.begin(), outcome.completed.end());
        EXPECT_EQ(accepted.size(), outcome.completed.size());
    }
};

TEST_F(Limits, hold_at_every_commit_whatever_32_sessions_do) {
    const std::int64_t deadlocks = number(database(), "SELECT sum(deadlocks) FROM pg_stat_database");
    History history(conninfo(), "storm");
    HammerOutcome outcome = storm(database(), history, hammer_seconds());
    expect_all_ended(outcome);
    expect_caps_are_free();
    expect_all_ended(outcome);
    EXPECT_EQ(outcome.errors, std::set<std::string>{});
    const Judgement judged = judged_storm(history, outcome);
    EXPECT_EQ(judged.over_cap, Sentences{});
    EXPECT_EQ(judged.double_claims, Sentences{});
    EXPECT_EQ(judged.double_keys, Sentences{});
    EXPECT_EQ(judged.still_locked, std::vector<std::int64_t>{});
    expect_each_job_ended_once(judged, outcome);
    EXPECT_EQ(metrics_are_wrong(database()), "");
    EXPECT_EQ(number(database(), "SELECT sum(deadlocks) FROM pg_stat_database"), deadlocks);
    // It was a storm.
    EXPECT_GT(judged.to_the_brim, judged.of_capped_tenants / 20);
    EXPECT_GT(judged.with_choice, 0);
    EXPECT_GT(outcome.met["a session was killed"], 0);
    EXPECT_GT(outcome.met["a lease was lost"], 0);
}

TEST_F(Limits, are_broken_in_the_eyes_of_this_hammer_when_there_is_no_tenant_lock) {
    const AlteredInstallation without_lock("without_tenant_lock");
    const std::unique_ptr<Cluster> cluster = without_lock.make_cluster(test_cluster_options());
    Database database(cluster->conninfo(), "test");
    History history(cluster->conninfo(), "storm");
    const HammerOutcome outcome = storm(database, history, kUnlockedSeconds);
    const Judgement judged = judged_storm(history, outcome);
    ASSERT_FALSE(judged.over_cap.empty());
    std::cout << fmt::format("{} times over the cap: {}, for example\n", judged.over_cap.size(),
                             judged.over_cap[0]);
    EXPECT_EQ(judged.double_claims, Sentences{}); // it does not prevent these
    EXPECT_EQ(judged.double_keys, Sentences{});
}

} // namespace
