// Claims do not count the running jobs of a tenant again that they found at its cap, until it may run more.
// Then they count at once, whatever made room.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "altered_installation.hpp"
#include "queue_checker.hpp"

using namespace fairq::driver;
using namespace fairq::test;

namespace {

constexpr int kCap = 3;
constexpr Milliseconds kPatience{20'000};

class FullTenant : public testing::Test {
protected:
    explicit FullTenant(const std::string &rule_left_out = "") : cluster_(options(), rule_left_out) {
        set_cap(kCap);
        enqueue(database_, "mail", 20, 1);
        running_ = claim(database_, 10);
        find_full();
    }

    static ClusterOptions options() {
        ClusterOptions made;
        made.needs_cron = false;
        made.settings = {{"fsync", "off"}};
        return made;
    }

    void set_cap(int cap) {
        database_.query("SELECT set_tenant_limits('tenant-0', max_concurrency => $1)", {std::to_string(cap)});
    }

    /// How many jobs a claim gives, which then run.
    std::size_t claimed() { return claim(database_, 10).ids.size(); }

    /// The first claim learns from the index that the tenant is at its cap, the next ones from what it
    /// recorded.
    void find_full() {
        for (int i = 0; i < 3; ++i)
            ASSERT_EQ(claimed(), 0U);
    }

    std::string id(std::size_t number) const { return std::to_string(running_.ids.at(number)); }
    std::string ids(std::size_t number) const { return id_array({running_.ids.at(number)}); }

    OwnCluster cluster_;
    Database database_{cluster_.conninfo(), "full"}, other_{cluster_.conninfo(), "other"};
    ClaimedJobs running_;
};

TEST_F(FullTenant, is_served_when_one_of_its_jobs_ends) {
    ASSERT_EQ(running_.ids.size(), static_cast<std::size_t>(kCap));
    complete(database_, {running_.ids[0]}, running_.lock_token);
    EXPECT_EQ(claimed(), 1U);
    find_full();
    database_.query("SELECT fail_job($1, $2, 'on purpose')", {id(1), running_.lock_token});
    EXPECT_EQ(claimed(), 1U);
    find_full();
    database_.query("SELECT cancel_job($1)", {id(2)});
    EXPECT_EQ(claimed(), 1U);
}

TEST_F(FullTenant, is_served_when_jobs_come_back) {
    database_.query("SELECT release_jobs($1, $2)", {ids(0), running_.lock_token});
    EXPECT_EQ(claimed(), 1U);
    find_full();
    database_.query("SELECT release_jobs($1, $2, now() + interval '1 hour')", {ids(1), running_.lock_token});
    EXPECT_EQ(claimed(), 1U);
    find_full();
    database_.query("SELECT reclaim_stuck_jobs('1 microsecond')");
    EXPECT_EQ(claimed(), static_cast<std::size_t>(kCap));
}

TEST_F(FullTenant, is_served_when_its_cap_is_raised) {
    set_cap(kCap + 2);
    EXPECT_EQ(claimed(), 2U);
    find_full();
}

TEST_F(FullTenant, is_served_when_its_jobs_ended_while_it_had_no_cap) {
    set_cap(0);
    complete(database_, running_.ids, running_.lock_token);
    set_cap(kCap);
    for (int i = 0; i < kCap; ++i)
        EXPECT_EQ(claim(database_, 1).ids.size(), 1U);
    find_full();
}

TEST_F(FullTenant, is_served_when_its_jobs_are_dead) {
    database_.query("UPDATE job_live SET max_attempts = attempts WHERE status = 'locked'");
    database_.query("SELECT reclaim_stuck_jobs('1 microsecond')");
    EXPECT_EQ(claimed(), static_cast<std::size_t>(kCap));
}

TEST_F(FullTenant, is_served_in_the_transaction_that_ends_a_job) {
    database_.query("BEGIN");
    complete(database_, {running_.ids[0]}, running_.lock_token);
    EXPECT_EQ(claimed(), 1U);
    database_.query("ROLLBACK");
    find_full();
    EXPECT_EQ(database_
                  .query("SELECT id FROM complete_and_claim_jobs($1, $2, 'test', 10)",
                         {ids(1), running_.lock_token})
                  .size(),
              1U);
}

TEST_F(FullTenant, is_served_when_the_claims_that_filled_it_are_rolled_back) {
    complete(database_, running_.ids, running_.lock_token);
    database_.query("BEGIN");
    EXPECT_EQ(claimed(), static_cast<std::size_t>(kCap));
    find_full();
    EXPECT_EQ(claim(other_, 10).ids.size(), 0U);
    database_.query("ROLLBACK");
    EXPECT_EQ(claim(other_, 10).ids.size(), static_cast<std::size_t>(kCap));
}

TEST_F(FullTenant, is_served_when_a_savepoint_takes_back_the_claim_that_filled_it) {
    database_.query("BEGIN");
    complete(database_, running_.ids, running_.lock_token);
    database_.query("SAVEPOINT s");
    EXPECT_EQ(claimed(), static_cast<std::size_t>(kCap));
    find_full();
    database_.query("ROLLBACK TO s");
    EXPECT_EQ(claimed(), static_cast<std::size_t>(kCap));
    database_.query("COMMIT");
    find_full();
}

TEST_F(FullTenant, is_served_when_its_load_test_is_cleared_away) {
    database_.query("UPDATE job_live SET job_type = 'load_test' WHERE status = 'locked'");
    database_.query("SELECT clear_load_test_data()");
    EXPECT_EQ(claimed(), static_cast<std::size_t>(kCap));
}

TEST_F(FullTenant, is_served_soon_when_its_jobs_were_deleted_directly_from_the_tables) {
    database_.query("DELETE FROM job_live WHERE status = 'locked'");
    EXPECT_TRUE(eventually(kPatience, [this] { return claimed() == static_cast<std::size_t>(kCap); }));
}

class FullTenantWithoutOpenings : public FullTenant {
protected:
    FullTenantWithoutOpenings() : FullTenant("without_openings") {}
};

TEST_F(FullTenantWithoutOpenings, is_found_to_be_held_back) {
    bool held_back = false;
    for (int i = 0; i < 5 && !held_back; ++i) { // again if it took more than a second
        complete(database_, running_.ids, running_.lock_token);
        running_ = claim(database_, 10);
        held_back = running_.ids.empty(); // a rescan at the end of this claim may find it
        if (!held_back)
            find_full();
    }
    EXPECT_TRUE(held_back);
}

} // namespace
