// Tenants that cannot run (paused, at their caps, out of tokens, or with jobs of a paused type only) leave the schedule,
// so that claims find those that can; and each comes back at once when what held it back has ended.
#include <chrono>
#include <future>
#include <random>
#include <thread>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "altered_installation.hpp"
#include "queue_checker.hpp"

using namespace fairq::driver;
using namespace fairq::test;

namespace {

constexpr int kHeldBack = 2000;
constexpr Milliseconds kPatience{30'000};

ClusterOptions options() {
    ClusterOptions made;
    made.needs_cron = false;
    made.settings = {{"fsync", "off"}, {"max_prepared_transactions", "2"}};
    return made;
}

class HeldBack : public testing::Test {
protected:
    explicit HeldBack(const std::string &rule_left_out = "") : cluster_(options(), rule_left_out) {}

    std::size_t claimed(Database &by, int jobs = 10) { return claim(by, jobs).ids.size(); }
    std::size_t claimed() { return claimed(database_); }

    void enqueue_for(const std::string &tenant, const std::string &type = "mail",
                     const std::string &key = "") {
        database_.query("SELECT enqueue_job($1, $2, concurrency_key => nullif($3, ''))", {tenant, type, key});
    }

    void set_limits(const std::string &limits) {
        database_.query("SELECT set_tenant_limits('a', " + limits + ")");
    }

    /// Claims find nothing, and the last ones do not even look.
    void find_nothing() {
        for (int i = 0; i < 5; ++i)
            ASSERT_EQ(claimed(), 0U);
    }

    OwnCluster cluster_;
    Database database_{cluster_.conninfo(), "held_back"}, other_{cluster_.conninfo(), "other"};
};

TEST_F(HeldBack, tenants_do_not_stand_before_one_that_can_run) {
    database_.query(fmt::format(
        "INSERT INTO tenant_limits (tenant_id, paused, max_concurrency, rate_per_second, burst) "
        "SELECT 'held-' || n, n % 4 = 0, CASE n % 4 WHEN 1 THEN 1 END, CASE n % 4 WHEN 2 THEN 0.00001 END, "
        "CASE n % 4 WHEN 2 THEN 1 END FROM generate_series(1, {}) AS n WHERE n % 4 < 3",
        kHeldBack));
    database_.query(
        fmt::format("SELECT count(*) FROM enqueue_jobs((SELECT array_agg('held-' || n) FROM "
                    "generate_series(1, {}) AS n, generate_series(1, 2) WHERE n % 4 < 3), 'mail')",
                    kHeldBack));
    database_.query("SELECT pause_job_type('paused')");
    database_.query(
        fmt::format("SELECT count(*) FROM (SELECT array_agg('held-' || n) AS tenants FROM generate_series(1, "
                    "{}) AS n WHERE "
                    "n % 4 = 3) AS new, enqueue_jobs(new.tenants, 'paused', concurrency_keys => new.tenants)",
                    kHeldBack));
    // Those at a cap or with a rate get their first job.
    ASSERT_TRUE(eventually(kPatience, [this] {
        claimed();
        return jobs_with_status(database_, "locked") == kHeldBack / 2;
    }));
    ASSERT_TRUE(eventually(kPatience, [this] { return claimed() == 0 && claimed() == 0; }));
    for (int i = 0; i < 50; ++i) {
        enqueue_for("can run");
        ASSERT_EQ(claimed(database_, 1), 1U) << "job " << i;
    }
}

TEST_F(HeldBack, tenant_comes_back_when_it_is_not_paused_any_more) {
    set_limits("paused => true");
    enqueue_for("a");
    find_nothing();
    enqueue_for("a");
    find_nothing();
    set_limits("paused => false");
    EXPECT_EQ(claimed(), 2U);
}

TEST_F(HeldBack, tenant_comes_back_when_a_paused_one_is_changed_in_the_table) {
    set_limits("paused => true");
    enqueue_for("a");
    find_nothing();
    database_.query("UPDATE tenant_limits SET paused = false");
    EXPECT_EQ(claimed(other_), 1U);
}

TEST_F(HeldBack, tenant_comes_back_when_its_row_was_deleted) {
    set_limits("paused => true");
    enqueue_for("a");
    find_nothing();
    database_.query("TRUNCATE tenant_limits");
    EXPECT_EQ(claimed(other_), 1U);
}

TEST_F(HeldBack, tenant_comes_back_when_it_was_paused_in_a_transaction_that_is_rolled_back) {
    enqueue_for("a");
    database_.query("BEGIN");
    set_limits("paused => true");
    find_nothing();
    database_.query("ROLLBACK");
    EXPECT_EQ(claimed(other_), 1U);
}

TEST_F(HeldBack, tenant_comes_back_in_the_transaction_that_ends_its_pause) {
    set_limits("paused => true");
    enqueue_for("a");
    find_nothing();
    database_.query("BEGIN");
    set_limits("paused => false");
    EXPECT_EQ(claimed(), 1U);
    database_.query("ROLLBACK");
    find_nothing();
}

TEST_F(HeldBack, tenant_comes_back_when_its_rate_is_removed) {
    set_limits("rate_per_second => 0.00001, burst => 1");
    enqueue_for("a");
    enqueue_for("a");
    EXPECT_EQ(claimed(), 1U);
    find_nothing();
    set_limits("rate_per_second => 0");
    EXPECT_EQ(claimed(), 1U);
}

TEST_F(HeldBack, tenant_comes_back_at_the_time_of_its_rate) {
    set_limits("rate_per_second => 5, burst => 1");
    for (int i = 0; i < 4; ++i)
        enqueue_for("a");
    std::size_t got = claimed();
    EXPECT_EQ(got, 1U);
    EXPECT_TRUE(eventually(kPatience, [&] { return (got += claimed()) == 4; }));
}

TEST_F(HeldBack, tenant_comes_back_when_a_claim_that_used_its_tokens_is_rolled_back) {
    set_limits("rate_per_second => 0.00001, burst => 1");
    enqueue_for("a");
    enqueue_for("a");
    database_.query("BEGIN");
    EXPECT_EQ(claimed(), 1U);
    find_nothing();
    database_.query("ROLLBACK");
    EXPECT_EQ(claimed(other_), 1U);
}

TEST_F(HeldBack, job_of_a_paused_type_with_a_key_comes_back_when_the_type_is_resumed) {
    database_.query("SELECT pause_job_type('paused')");
    enqueue_for("a", "paused", "k");
    find_nothing();
    enqueue_for("a", "mail"); // another one of the tenant's may run all the while
    EXPECT_EQ(claimed(), 1U);
    find_nothing();
    database_.query("SELECT resume_job_type('paused')");
    EXPECT_EQ(claimed(other_), 1U);
}

TEST_F(HeldBack, job_of_a_paused_type_with_a_key_comes_back_when_the_pause_is_rolled_back) {
    enqueue_for("a", "paused", "k");
    database_.query("BEGIN");
    database_.query("SELECT pause_job_type('paused')");
    find_nothing();
    database_.query("ROLLBACK");
    EXPECT_EQ(claimed(other_), 1U);
}

TEST_F(HeldBack, tenant_comes_back_soon_when_nothing_tells_of_the_change) {
    set_limits("paused => true");
    enqueue_for("a");
    find_nothing();
    database_.query("BEGIN");
    set_limits("paused => false");
    database_.query("PREPARE TRANSACTION 'p'");
    database_.query("COMMIT PREPARED 'p'");
    EXPECT_TRUE(eventually(kPatience, [this] { return claimed(other_) == 1; }));
}

TEST_F(HeldBack, tenant_is_told_with_its_reason) {
    set_limits("paused => true");
    enqueue_for("a");
    find_nothing();
    EXPECT_EQ(database_.query("SELECT why_not_running(max(id)) ->> 'reason' FROM job_live").at(0)[0],
              "tenant_paused");
    set_limits("paused => false");
    EXPECT_EQ(database_.query("SELECT why_not_running(max(id)) ->> 'reason' FROM job_live").at(0)[0],
              "waiting");
    EXPECT_EQ(claimed(), 1U);
}

// ------------------------------------------------------------------------------------------ side by side

constexpr int kTenants = 300, kRounds = 30;
constexpr int kLongestPause =
    3000; // microseconds between a claim's begin and the commit, about as long as the claim

/// Again and again, tenants cease to be paused while claims look at them. Then a claim has to find all of their jobs.
class HeldBackMeanwhile : public HeldBack {
protected:
    using HeldBack::HeldBack;

    void SetUp() override {
        database_.query(
            fmt::format("INSERT INTO tenant_limits (tenant_id, paused) SELECT 't' || n, true FROM "
                        "generate_series(1, {}) AS n",
                        kTenants));
        find_nothing();
    }

    /// How many jobs the first claim after a round has not found.
    std::size_t hidden_in_a_round() {
        database_.query(fmt::format("SELECT count(*) FROM enqueue_jobs((SELECT array_agg('t' || n) FROM "
                                    "generate_series(1, {}) AS n), 'mail')",
                                    kTenants));
        database_.query("BEGIN");
        set_all(false);
        std::future<std::size_t> meanwhile =
            std::async(std::launch::async, [this] { return claimed(other_, kTenants); });
        std::this_thread::sleep_for(std::chrono::microseconds(random_() % kLongestPause));
        database_.query("COMMIT");
        std::size_t got = meanwhile.get();
        got += claimed(database_, kTenants);
        database_.query(
            "SELECT count(*) FROM (SELECT lock_token, array_agg(id) AS ids FROM job_live WHERE status = "
            "'locked' GROUP BY lock_token) AS c, complete_jobs(ids, lock_token)");
        const std::size_t hidden = kTenants - got;
        while (jobs_with_status(database_, "queued") > 0)
            claimed(database_, kTenants);
        set_all(true);
        return hidden;
    }

    void set_all(bool paused) {
        database_.query(
            "SELECT set_tenant_limits('t' || n, paused => $1) FROM generate_series(1, $2::integer) AS n",
            {paused ? "true" : "false", std::to_string(kTenants)});
    }

    std::mt19937_64 random_{test_seed()};
};

TEST_F(HeldBackMeanwhile, tenants_are_all_found) {
    for (int round = 0; round < kRounds; ++round)
        ASSERT_EQ(hidden_in_a_round(), 0U) << "round " << round;
}

class HeldBackUnseen : public HeldBackMeanwhile {
protected:
    HeldBackUnseen() : HeldBackMeanwhile("holding_unseen") {}
};

TEST_F(HeldBackUnseen, hides_tenants_that_can_run) {
    bool hidden = false;
    for (int round = 0; round < 10 * kRounds && !hidden; ++round)
        hidden = hidden_in_a_round() > 0;
    EXPECT_TRUE(hidden);
}

} // namespace
