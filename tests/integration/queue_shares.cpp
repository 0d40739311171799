// Shares, measured: what many sessions that claim one job each get, by weight, over time, and after a
// restart.
#include <iostream>
#include <random>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "counted_load.hpp"
#include "server_test.hpp"

using namespace fairq::driver;
using namespace fairq::test;

namespace {

using Names = std::vector<std::string>;
using Weights = std::map<std::string, int>;
using Findings = std::vector<std::string>;

constexpr double kTolerance = 0.02;
const Weights kOneTwoFour{{"one", 1}, {"two", 2}, {"four", 4}};

void set_weights(Database &database, const Weights &weights) {
    for (const auto &[tenant, weight] : weights)
        database.query("SELECT set_tenant_limits($1, weight => $2)", {tenant, std::to_string(weight)});
}

Names times(int jobs, const std::string &tenant) {
    return Names(static_cast<std::size_t>(jobs), tenant);
}

/// So many claims of one session, a job each: how many jobs each tenant got.
std::map<std::string, std::int64_t> next_claims(Database &database, int claims) {
    std::map<std::string, std::int64_t> got;
    for (int i = 0; i < claims; ++i)
        for (const Row &row : database.query("SELECT tenant_id FROM claim_queued_jobs('one', 1)"))
            ++got[row[0].value()];
    return got;
}

class Shares : public DatabaseTest {
protected:
    /// What 8 sessions got of so many claims of a job each.
    std::map<std::string, std::int64_t> claimed_by_eight(const Weights &weights, int claims) {
        set_weights(database(), weights);
        CountedLoad load(conninfo());
        for (const auto &[tenant, weight] : weights) // no tenant runs out of jobs
            load.enqueue(database(), times(claims, tenant), "weighed");
        load.run({8, 1, [&] { return load.jobs() >= claims; }, nullptr, true});
        return load.claimed(0, claims);
    }
};

TEST_F(Shares, are_as_the_weights_within_2_percent_over_10000_claims_of_8_sessions) {
    EXPECT_EQ(unfair_shares(claimed_by_eight(kOneTwoFour, 10'000), kOneTwoFour, kTolerance), Findings{});
}

TEST_F(Shares, have_a_checker_that_sees_that_weights_are_off) {
    const Weights equal{{"one", 1}, {"two", 1}, {"four", 1}};
    EXPECT_EQ(unfair_shares(claimed_by_eight(equal, 1'400), kOneTwoFour, kTolerance).size(), 3u);
    EXPECT_EQ(unfair_shares({{"a", 100}, {"b", 200}}, {{"a", 1}, {"b", 2}}, kTolerance), Findings{});
    EXPECT_EQ(unfair_shares({{"a", 97}, {"b", 203}}, {{"a", 1}, {"b", 2}}, kTolerance),
              Findings{"a got 97 jobs of 100.0"});
    EXPECT_EQ(unfair_shares({{"a", 100}}, {{"a", 1}, {"b", 1}}, kTolerance).size(), 2u) << "b got none";
}

TEST_F(Shares, of_equal_tenants_have_a_fairness_index_of_one_while_all_have_work) {
    constexpr int kTenants = 50, kJobs = 200;
    std::mt19937_64 random(test_seed());
    CountedLoad load(conninfo());
    Names tenants;
    for (int i = 0; i < kTenants * kJobs; ++i)
        tenants.push_back(fmt::format("tenant-{}", i % kTenants));
    std::shuffle(tenants.begin(), tenants.end(), random);
    load.enqueue(database(), tenants, "equal");
    // When half of all jobs are done, every tenant still has some.
    for (const int max_jobs : {1, 3, 7}) {
        const std::int64_t from = load.jobs(), to = from + kTenants * kJobs / 6;
        load.run({8, max_jobs, [&] { return load.jobs() >= to; }, nullptr, true});
        const double index = jain_index(load.claimed(from, to));
        std::cout << "Jain's index, claims of " << max_jobs << ": " << index << std::endl;
        EXPECT_GE(index, 0.99);
        EXPECT_EQ(load.claimed(from, to).size(), std::size_t{kTenants});
    }
    EXPECT_EQ(jobs_with_status(database(), "queued"), kTenants * kJobs - load.jobs());
}

TEST(FairnessIndex, tells_equal_from_unequal) {
    EXPECT_DOUBLE_EQ(jain_index({{"a", 5}, {"b", 5}}), 1);
    EXPECT_DOUBLE_EQ(jain_index({{"a", 5}, {"b", 0}}), 0.5);
    EXPECT_LT(jain_index({{"a", 12}, {"b", 10}, {"c", 8}}), 0.99);
}

TEST_F(Shares, of_a_new_tenant_and_of_one_that_was_idle_for_long_begin_now) {
    CountedLoad load(conninfo());
    load.enqueue(database(), times(5'000, "a"), "mail");
    load.enqueue(database(), times(5'000, "b"), "mail");
    load.enqueue(database(), times(100, "idle"), "mail");
    load.run({8, 1, [&] { return load.jobs() >= 3'000; }, nullptr, true});
    ASSERT_EQ(load.claimed(0, 3'000).at("idle"), 100) << "it had its jobs, and then none for 2,700 claims";
    load.enqueue(database(), times(1'000, "idle"), "mail");
    load.enqueue(database(), times(1'000, "new"), "mail");
    const Weights equal{{"a", 1}, {"b", 1}, {"idle", 1}, {"new", 1}};
    // No burst at the beginning either: of any 8 claims they get what other tenants get, within a job.
    for (int i = 0; i < 5; ++i)
        EXPECT_EQ(unfair_shares(next_claims(database(), 8), equal, 0.5), Findings{}) << i;
    const std::int64_t from = load.jobs(), to = from + 2'000;
    load.run({8, 1, [&] { return load.jobs() >= to; }, nullptr, true});
    EXPECT_EQ(unfair_shares(load.claimed(from, to), equal, kTolerance), Findings{});
}

TEST_F(Shares, follow_a_weight_that_is_changed_with_the_next_claim) {
    Database other(conninfo(), "other");
    database().query("SELECT enqueue_jobs($1, 'mail')", {array_literal(times(500, "a"))});
    database().query("SELECT enqueue_jobs($1, 'mail')", {array_literal(times(500, "b"))});
    EXPECT_EQ(unfair_shares(next_claims(database(), 100), {{"a", 1}, {"b", 1}}, kTolerance), Findings{});
    for (const int weight : {9, 1, 3}) {
        set_weights(other, {{"a", weight}});
        // Within a job of the share after however few claims: the first ten show it.
        EXPECT_EQ(unfair_shares(next_claims(database(), 1 + weight), {{"a", weight}, {"b", 1}}, 1),
                  Findings{});
        EXPECT_EQ(unfair_shares(next_claims(database(), 10 * (1 + weight)), {{"a", weight}, {"b", 1}}, 0.1),
                  Findings{})
            << weight;
    }
}

class SharesOfAServer : public ServerTest {};

TEST_F(SharesOfAServer, go_on_after_a_restart) {
    set_weights(database(), kOneTwoFour);
    for (const auto &[tenant, weight] : kOneTwoFour)
        database().query("SELECT enqueue_jobs($1, 'mail')", {array_literal(times(2'000, tenant))});
    EXPECT_EQ(unfair_shares(next_claims(database(), 700), kOneTwoFour, kTolerance), Findings{});
    ASSERT_TRUE(restart_server());
    CountedLoad load(conninfo());
    load.run({8, 1, [&] { return load.jobs() >= 1'400; }, nullptr, true});
    EXPECT_EQ(unfair_shares(load.claimed(0, 1'400), kOneTwoFour, kTolerance), Findings{});
}

// Until all tenants are known each claim divides by itself.
TEST_F(SharesOfAServer, have_all_tenants_again_soon_after_a_restart_however_much_is_finished) {
    for (const auto &[tenant, weight] : kOneTwoFour)
        database().query("SELECT enqueue_jobs(array_fill($1::text, ARRAY[11000]), 'mail')", {tenant});
    for (int i = 0; i < 3; ++i) {
        const ClaimedJobs jobs = claim(database(), 10'000);
        complete(database(), jobs.ids, jobs.lock_token);
    }
    ASSERT_TRUE(restart_server());
    for (int i = 0; i < 3; ++i)
        ASSERT_EQ(claim(database(), 3).ids.size(), 3U);
    EXPECT_TRUE(
        database()
            .scalar("SELECT why_not_running(min(id)) ->> 'tenants_ahead' FROM job_live WHERE status = "
                    "'queued'")
            .has_value());
}

class SharesWithoutPreload : public ServerTest {
    std::map<std::string, std::string> settings() const override {
        return {{"shared_preload_libraries", ""}};
    }
};

TEST_F(SharesWithoutPreload, hold_within_every_call) {
    ASSERT_EQ(database().scalar("SHOW shared_preload_libraries").value(), "");
    set_weights(database(), kOneTwoFour);
    for (const auto &[tenant, weight] : kOneTwoFour)
        database().query("SELECT enqueue_jobs($1, 'mail')", {array_literal(times(2'000, tenant))});
    for (const int jobs : {7, 70, 700}) {
        std::map<std::string, std::int64_t> got;
        for (const Row &row : database().query(
                 "SELECT tenant_id, count(*) FROM claim_queued_jobs('w', $1, 1000000) GROUP BY 1",
                 {std::to_string(jobs)}))
            got[row[0].value()] = std::stoll(row[1].value());
        EXPECT_EQ(unfair_shares(got, kOneTwoFour, 0), Findings{}) << jobs;
    }
}

} // namespace
