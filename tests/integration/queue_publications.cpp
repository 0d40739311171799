// Logical replication of a queue: a publication of everything refuses no call, and a subscriber that has fairq itself gets
// what the publisher has, partitions that are made later included.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "queue_checker.hpp"

using namespace fairq::driver;
using namespace fairq::test;

namespace {

constexpr Milliseconds kPatience{60'000};

/// Every table that a subscription has to keep the same. (Partitions may be others there.)
constexpr const char *kTables[] = {
    "job_live",         "job_history",
    "job_leases",       "job_keys",
    "job_handlers",     "channel_outbox",
    "pipeline_runs",    "campaign_audit_log",
    "tenant_limits",    "tenant_rates",
    "paused_job_types", "load_test_totals",
    "queue_access",     "(SELECT tenant_id, sum(change) FROM tenant_pending GROUP BY 1)"};

std::string contents(Database &database, const std::string &table) {
    return database
        .scalar(fmt::format("SELECT coalesce(string_agg(t::text, E'\\n' ORDER BY t::text), '') FROM {} AS t",
                            table))
        .value();
}

/// Publications of everything, in the ways that there are.
class Publication : public DatabaseTest, public testing::WithParamInterface<const char *> {
protected:
    void SetUp() override {
        DatabaseTest::SetUp();
        if (IsSkipped())
            return;
        database().query("CREATE PUBLICATION everything " + std::string(GetParam()));
        database().query(
            "CREATE FUNCTION handle(job job_queue) RETURNS void LANGUAGE plpgsql AS 'BEGIN END'");
        database().query("SELECT register_job_handler('handled', 'handle(job_queue)')");
        database().query("SELECT set_tenant_limits('limited', max_concurrency => 50, max_pending => 1000, "
                         "rate_per_second => 1000)");
    }

    /// All that changes or deletes rows of any table.
    void work() {
        for (int i = 0; i < 300; ++i) // each about a 64th time sums the rows of tenant_pending up
            database().query(
                fmt::format("SELECT enqueue_job('limited', 'mail', idempotency_key => 'k{}')", i));
        const ClaimedJobs claimed = claim(database(), 40);
        ASSERT_EQ(claimed.ids.size(), 40u);
        EXPECT_EQ(complete(database(), claimed.ids, claimed.lock_token).size(), 40u);
        database().query(
            "SELECT fail_job(id, lock_token, 'on purpose', false) FROM claim_queued_jobs('w', 3)");
        EXPECT_EQ(number(database(), "SELECT redrive_dead_jobs(max_jobs => 2)"), 2);
        database().query("SELECT release_jobs(ARRAY[id], lock_token) FROM claim_queued_jobs('w', 1)");
        database().query("SELECT count(cancel_job(id)) FROM (SELECT id FROM job_live WHERE status = 'queued' "
                         "LIMIT 3) AS j");
        database().query("SELECT enqueue_job('limited', 'handled', concurrency_key => 'c')");
        database().query("SELECT enqueue_job('r', 'handled', run_id => create_pipeline_run('r', 'nightly'), "
                         "stage => n) FROM generate_series(2, 1, -1) AS n");
        database().query("SELECT run_job_queue_parallel(2)");
        database().query("SELECT pause_job_type('rare'), pause_job_type('other'), resume_job_type('other')");
        database().query("SELECT seed_load_test_jobs(20, 2)");
        database().query("SELECT run_job_queue_parallel(2)");
    }

    void unused() {
        database().query("SELECT set_tenant_limits('limited', max_pending => 0, rate_per_second => 0)");
        database().query("SELECT clear_load_test_data()");
        database().query("SELECT unregister_job_handler('handled')");
        database().query("DELETE FROM job_history; DELETE FROM tenant_pending; DELETE FROM queue_access");
    }
};

TEST_P(Publication, refuses_no_call) {
    work();
    // A day's partition that is made later, and rows that come there out of the default partition.
    database().query(
        "UPDATE job_history SET finished_at = finished_at - interval '20 days' WHERE status <> 'dead'");
    EXPECT_EQ(number(database(), "SELECT make_history_partitions(5)"), 3);
    EXPECT_EQ(number(database(), "SELECT count(*) FROM job_history_default"), 0);
    work();
    unused();
}

INSTANTIATE_TEST_SUITE_P(Everything, Publication,
                         testing::Values("FOR ALL TABLES",
                                         "FOR ALL TABLES WITH (publish_via_partition_root = true)"));

class Subscription : public Publication {
protected:
    void SetUp() override {
        Publication::SetUp();
        if (IsSkipped())
            return;
        name_ = database().scalar("SELECT current_database()").value() + "_subscriber";
        database().query("CREATE DATABASE " + name_);
        subscriber_.emplace(shared_cluster().conninfo(name_), "test");
        subscriber_->query("CREATE EXTENSION fairq");
    }

    void TearDown() override {
        if (subscriber_) {
            subscriber_->query("DROP SUBSCRIPTION IF EXISTS everything");
            subscriber_.reset();
        }
        if (!name_.empty())
            database().query("DROP DATABASE " + name_ + " WITH (FORCE)");
        Publication::TearDown();
    }

    /// Both are in one cluster, so the slot is made beforehand: CREATE SUBSCRIPTION would wait for itself.
    void subscribe() {
        database().query(fmt::format("SELECT pg_create_logical_replication_slot('{}', 'pgoutput')", name_));
        subscriber_->query(fmt::format(
            "CREATE SUBSCRIPTION everything CONNECTION $$host='{}' port=5432 dbname={} user=postgres$$ "
            "PUBLICATION everything WITH (create_slot = false, slot_name = '{}')",
            shared_cluster().folder(), database().scalar("SELECT current_database()").value(), name_));
    }

    bool has_the_same(const char *table) {
        return eventually(kPatience,
                          [&] { return contents(database(), table) == contents(*subscriber_, table); });
    }

    std::string name_;
    std::optional<Database> subscriber_;
};

TEST_P(Subscription, has_what_the_publisher_has) {
    work();
    subscribe();
    for (const char *table : kTables)
        ASSERT_TRUE(has_the_same(table)) << table << ", first copy";
    work();
    for (const char *table : kTables)
        ASSERT_TRUE(has_the_same(table)) << table << ", then";
    EXPECT_EQ(number(database(), "SELECT count(*) FROM pg_publication_tables WHERE tablename ~ 'secret'"), 0);
}

/// What a session has read of limits, pauses and grants is not true any more once another server's change has arrived.
TEST_P(Subscription, brings_limits_and_pauses_to_open_sessions) {
    subscribe();
    database().query("SELECT enqueue_job('a', 'mail'), enqueue_job('b', 'post')");
    ASSERT_TRUE(has_the_same("job_live"));
    const auto reason = [&](int job) {
        return subscriber_->scalar(fmt::format("SELECT why_not_running({}) ->> 'reason'", job)).value();
    };
    const std::string before = reason(1) + reason(2);
    EXPECT_EQ(before.find("paused"), std::string::npos) << before;
    database().query("SELECT set_tenant_limits('a', paused => true), pause_job_type('post')");
    EXPECT_TRUE(eventually(kPatience, [&] { return reason(1) == "tenant_paused"; })) << reason(1);
    EXPECT_TRUE(eventually(kPatience, [&] { return reason(2) == "type_paused"; })) << reason(2);
    database().query("DELETE FROM tenant_limits; DELETE FROM paused_job_types");
    EXPECT_TRUE(eventually(kPatience, [&] { return reason(1) + reason(2) == before; }))
        << reason(1) << reason(2);
}

INSTANTIATE_TEST_SUITE_P(Everything, Subscription,
                         testing::Values("FOR ALL TABLES",
                                         "FOR ALL TABLES WITH (publish_via_partition_root = true)"));

} // namespace
