// Shared memory has places for some queues. A database whose queue has none is served all the same; and a
// claim whose place another database has got meanwhile works in its own database only, although both come from
// one template, so that the oids of their tables are the same.
#include <future>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "altered_installation.hpp"
#include "queue_checker.hpp"

using namespace fairq::driver;
using namespace fairq::test;

namespace {

constexpr Milliseconds kPatience{60'000};

class RingPlaces : public testing::Test {
protected:
    RingPlaces() : cluster_(options()) {
        // Of a template of their own: a process of pg_cron may have a session in the cluster's database.
        Database setup(cluster_.conninfo(), "setup");
        setup.query("CREATE DATABASE base");
        Database(in("base"), "setup").query("CREATE EXTENSION fairq");
        for (const char *name : {"one", "two"})
            setup.query(fmt::format("CREATE DATABASE {} TEMPLATE base", name));
    }

    static ClusterOptions options() {
        ClusterOptions made;
        made.needs_cron = false;
        made.settings = {{"fsync", "off"}, {"fairq.ring_queues", "1"}};
        return made;
    }

    std::string in(const std::string &database) const { return cluster_.conninfo() + " dbname=" + database; }

    static void enqueue_for(Database &database, const std::string &tenant) {
        database.query("SELECT enqueue_job($1, 'mail')", {tenant});
    }

    static bool is_in_ring(Database &database, const std::string &tenant) {
        return !database
                    .query("SELECT FROM tenant_metrics WHERE tenant_id = $1 AND waiting_in_ring", {tenant})
                    .empty();
    }

    /// A claim of database one is under way when database two gets its place. Returns what the claim got.
    std::size_t claim_meanwhile(Database &two) {
        Database one(in("one"), "one"), late(in("one"), "late"), blocker(in("one"), "blocker");
        one.query("SELECT set_tenant_limits('limited', weight => 2)");
        for (int i = 0; i < 3; ++i) // makes the ring complete, and its clock large
            claim(one, 1);
        for (int i = 0; i < 200; ++i)
            enqueue_for(one, "first");
        const ClaimedJobs most = claim(one, 199);
        complete(one, most.ids, most.lock_token);
        EXPECT_TRUE(is_in_ring(one, "first"));
        blocker.query("BEGIN");
        blocker.query("LOCK TABLE tenant_limits IN ACCESS EXCLUSIVE MODE");
        std::future<std::size_t> got =
            std::async(std::launch::async, [&] { return claim(late, 10).ids.size(); });
        EXPECT_TRUE(eventually(kPatience, [&] {
            return number(one, "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = "
                               "'tenant_limits'::regclass") == 1;
        }));
        EXPECT_TRUE(eventually(kPatience, [&] {
            claim(two, 1);
            enqueue_for(two, "only in two");
            return is_in_ring(two, "only in two");
        }));
        blocker.query("COMMIT");
        return got.get();
    }

    OwnCluster cluster_;
};

TEST_F(RingPlaces, are_not_needed_by_a_database_that_has_none) {
    Database one(in("one"), "one"), two(in("two"), "two");
    for (int i = 0; i < 20; ++i) {
        enqueue_for(one, "a");
        enqueue_for(two, "b");
        EXPECT_EQ(claim(one, 1).ids.size(), 1U);
        EXPECT_EQ(claim(two, 1).ids.size(), 1U);
    }
    EXPECT_TRUE(is_in_ring(one, "a") || !is_in_ring(two, "b"));
    EXPECT_EQ(metrics_are_wrong(two), "");
}

TEST_F(RingPlaces, of_a_claim_under_way_may_be_taken_by_another_database) {
    Database two(in("two"), "two");
    EXPECT_GT(claim_meanwhile(two), 0U);
    EXPECT_TRUE(is_in_ring(two, "only in two"));
    EXPECT_GT(claim(two, 10).ids.size(), 0U);
}

} // namespace
