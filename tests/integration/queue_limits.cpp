// The caps are exact: 32 sessions, 200 tenants, caps that change, sessions that are killed; and no commit ever brings a
// tenant above its cap. The same hammer finds what goes wrong in a library that has no tenant lock.
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <iostream>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "queue_history.hpp"
#include "queue_judge.hpp"
#include "queue_limits_hammer.hpp"

using namespace fairq::driver;
using namespace fairq::test;

namespace {

double hammer_seconds(double usual) {
    const char *const given = std::getenv("FAIRQ_HAMMER_SECONDS");
    return given != nullptr ? std::strtod(given, nullptr) : usual;
}

void prepare(Database &database) {
    const std::string name = database.scalar("SELECT current_database()").value();
    for (const char *setting : {"fairq.backoff_base = '1ms'", "fairq.backoff_max = '20ms'",
                                "fairq.lease_timeout = '300ms'"})
        database.query(fmt::format("ALTER DATABASE {} SET {}", name, setting));
    database.disconnect();
    begin_history(database);
}

void print(const Judgement &judged, const HammerOutcome &outcome) {
    std::cout << fmt::format("{} jobs, {} completed, {} cap changes; {} claims, {} times of a capped tenant: {} to the brim, "
                             "{} with a cap that changed meanwhile, {} beside claims without a cap\n",
                             judged.jobs.size(), outcome.completed.size(), outcome.cap_changes, judged.claims,
                             judged.of_capped_tenants, judged.to_the_brim, judged.with_choice, judged.spared);
    for (const auto &[what, times] : outcome.met)
        std::cout << fmt::format("{}: {}\n", what, times);
}

class Limits : public DatabaseTest {
protected:
    void SetUp() override {
        DatabaseTest::SetUp();
        if (!IsSkipped())
            prepare(database());
    }

    /// The storm, and everything that has to be true afterwards.
    void hammer(double seconds);

private:
    void expect_all_jobs_ended_once(const Judgement &judged, const HammerOutcome &outcome);
    void expect_caps_are_free(HammerOutcome &outcome);
};

// Rows of a query as one text.
std::string table(Database &database, const std::string &query) {
    std::string text;
    for (const Row &row : database.query(query))
        for (const Cell &cell : row)
            text += cell.value_or("NULL") + " ";
    return text;
}

void Limits::hammer(double seconds) {
    HammerPlan plan;
    plan.seconds = seconds;
    plan.seed = test_seed();
    const std::int64_t deadlocks = number(database(), "SELECT sum(deadlocks) FROM pg_stat_database");
    HammerOutcome outcome = hammer_limits(conninfo(), plan);
    EXPECT_EQ(outcome.errors, std::set<std::string>{});
    EXPECT_TRUE(drain(conninfo(), outcome));
    EXPECT_EQ(number(database(), "SELECT reclaim_stuck_jobs('1 microsecond')"), 0);
    EXPECT_EQ(number(database(), "SELECT count(*) FROM job_leases"), 0);
    expect_caps_are_free(outcome);
    const auto hist = end_history(database()); //DEBUG
    { FILE *f = fopen("/tmp/hE/hist.txt", "w"); //DEBUG
    for (auto &c : hist) { for (auto &x : c.caps) fprintf(f, "%lu cap %s %d\n", c.xid, x.tenant.c_str(), x.cap.value_or(-1)); //DEBUG
    for (auto &x : c.caps_in_force) fprintf(f, "%lu force %s\n", c.xid, x.c_str()); //DEBUG
    for (auto &j : c.jobs) fprintf(f, "%lu job %ld %s %s %s %s\n", c.xid, j.id, j.tenant.c_str(), j.key.c_str(), j.gone ? "gone" : j.is_new ? "new" : "", j.lock_token.c_str()); //DEBUG
    if (c.call_began) fprintf(f, "%lu claim began %s\n", c.xid, c.call_began->text.c_str()); } fclose(f); } //DEBUG
    const Judgement judged = judge(hist);
    print(judged, outcome);
    EXPECT_EQ(judged.over_cap, std::vector<std::string>{});
    EXPECT_EQ(judged.double_claims, std::vector<std::string>{});
    EXPECT_EQ(judged.double_keys, std::vector<std::string>{});
    EXPECT_EQ(judged.still_locked, std::vector<std::int64_t>{});
    expect_all_jobs_ended_once(judged, outcome);
    EXPECT_EQ(number(database(), "SELECT sum(deadlocks) FROM pg_stat_database"), deadlocks);
    // It was a storm.
    EXPECT_GT(judged.to_the_brim, judged.of_capped_tenants / 20);
    EXPECT_GT(outcome.met["a session was killed"], 0);
}

// More jobs than any cap for each tenant, of which exactly as many as its cap can be claimed.
void Limits::expect_caps_are_free(HammerOutcome &outcome) {
    for (int i = 0; i < 20; ++i)
        database().query("SELECT enqueue_jobs((SELECT array_agg(format('tenant-%s', lpad(n::text, 3, '0'))) FROM "
                         "generate_series(0, 199) AS n), 'after')");
    for (ClaimedJobs jobs{{0}, ""}; !jobs.ids.empty();)
        jobs = claim(database(), 10'000);
    EXPECT_EQ(table(database(), "SELECT j.tenant_id, count(*), l.max_concurrency FROM job_live j LEFT JOIN tenant_limits "
                                "l USING (tenant_id) WHERE status = 'locked' GROUP BY 1, 3 HAVING count(*) <> "
                                "coalesce(l.max_concurrency, 20)"),
              "");
    EXPECT_EQ(number(database(), "SELECT count(DISTINCT tenant_id) FROM job_live WHERE status = 'locked'"), 200);
    database().query("SELECT complete_jobs(l.job_ids, l.lock_token) FROM job_leases l");
    EXPECT_TRUE(drain(conninfo(), outcome));
}

void Limits::expect_all_jobs_ended_once(const Judgement &judged, const HammerOutcome &outcome) {
    const auto expect_in_history = [&](const std::vector<std::int64_t> &ids, const std::string &status) {
        EXPECT_EQ(number(database(), fmt::format("SELECT count(*) FROM unnest('{}'::bigint[]) AS id WHERE NOT EXISTS "
                                                 "(SELECT FROM job_history h WHERE h.id = id.id AND {})",
                                                 id_array(ids), status)),
                  0)
            << status;
    };
    const auto jobs = static_cast<std::int64_t>(judged.jobs.size());
    EXPECT_EQ(number(database(), "SELECT count(*) FROM job_live"), 0);
    EXPECT_EQ(number(database(), "SELECT count(*) FROM job_history"), jobs);
    EXPECT_EQ(number(database(), "SELECT count(DISTINCT id) FROM job_history"), jobs);
    expect_in_history(judged.jobs, "true");
    expect_in_history(outcome.enqueued, "true");
    expect_in_history(outcome.completed, "status = 'completed'");
    expect_in_history(outcome.cancelled, "status = 'cancelled'");
    const std::set<std::int64_t> accepted(outcome.completed.begin(), outcome.completed.end());
    EXPECT_EQ(accepted.size(), outcome.completed.size());
}

TEST_F(Limits, hold_at_every_commit_whatever_32_sessions_do) {
    hammer(hammer_seconds(10));
}

} // namespace
