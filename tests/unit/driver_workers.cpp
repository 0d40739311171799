// The text of cron jobs, and what the server's JSON means: the
// pure half of what runs a load.

#include <gtest/gtest.h>

#include "db/cron.hpp"
#include "db/queue_client.hpp"

using namespace fairq::driver;

namespace {

plan::WorkerActor cron_worker(const char *job, long long workers, long long every_ms) {
    plan::WorkerActor worker;
    worker.job = job;
    worker.workers = workers;
    worker.every = Milliseconds(every_ms);
    return worker;
}

std::string statement(const plan::WorkerActor &worker, bool seconds, const char *schema = "public") {
    return db::schedule_statement(db::make_cron_job(worker, schema, seconds));
}

} // namespace

TEST(CronJobTest, minute_ticks_are_scheduled_exactly_as_the_requirements_write_them) {
    EXPECT_EQ(statement(cron_worker("run-job-queue-single", 1, 60'000), false),
              "SELECT cron.schedule('run-job-queue-single', '* * * * *', $$ SELECT "
              "public.run_job_queue_cron() $$);");
    EXPECT_EQ(statement(cron_worker("run-job-queue-parallel", 4, 60'000), true),
              "SELECT cron.schedule('run-job-queue-parallel', '* * * * *', $$ SELECT "
              "public.run_job_queue_parallel() $$);");
}

TEST(CronJobTest, other_numbers_of_workers_minutes_and_schemas_are_written_out) {
    EXPECT_EQ(
        statement(cron_worker("j", 8, 300'000), false, "\"My Queue\""),
        "SELECT cron.schedule('j', '*/5 * * * *', $$ SELECT \"My Queue\".run_job_queue_parallel(8) $$);");
}

TEST(CronJobTest, seconds_are_a_schedule_where_pg_cron_counts_them_and_a_call_inside_the_minute_elsewhere) {
    const plan::WorkerActor worker = cron_worker("j", 4, 1'000);
    EXPECT_EQ(statement(worker, true),
              "SELECT cron.schedule('j', '1 second', $$ SELECT public.run_job_queue_parallel() $$);");
    EXPECT_EQ(statement(worker, false),
              "SELECT cron.schedule('j', '* * * * *', $$ CALL public.run_job_queue_ticks(4, interval '1 "
              "second', interval '58 seconds') $$);");
    EXPECT_EQ(db::make_cron_job(cron_worker("j", 1, 5'000), "public", true).schedule, "5 seconds");
}

TEST(CronJobTest, pg_cron_counts_seconds_from_1_5_on) {
    for (const char *version : {"1.5", "1.6", "1.10", "2.0"})
        EXPECT_TRUE(db::cron_counts_seconds(version)) << version;
    for (const char *version : {"1.0", "1.3", "1.4-1", "", "new"})
        EXPECT_FALSE(db::cron_counts_seconds(version)) << version;
}

TEST(ServerJsonTest, a_snapshot_of_the_metrics_is_read) {
    const db::QueueSnapshot snapshot = db::parse_snapshot(
        R"({"queue_stats": {"blocked": 0, "scheduled": 2, "queued": 30, "locked": 5, "completed": 60, "dead": 1, "cancelled": 2},
            "oldest_queued_age_seconds": 12.5, "duplicate_count": 3, "exact": true})");
    EXPECT_EQ(snapshot.unfinished(), 37);
    EXPECT_EQ(snapshot.count("completed"), 60);
    EXPECT_EQ(snapshot.count("no such"), 0);
    EXPECT_EQ(snapshot.oldest_queued_seconds, 12.5);
    EXPECT_EQ(snapshot.duplicates, 3);
}

TEST(ServerJsonTest, the_age_of_an_empty_queue_is_nothing) {
    EXPECT_FALSE(
        db::parse_snapshot(R"({"queue_stats": {}, "oldest_queued_age_seconds": null, "duplicate_count": 0})")
            .oldest_queued_seconds);
}

TEST(ServerJsonTest, a_tick_of_the_ledger_is_read) {
    const db::Tick tick =
        db::parse_tick(R"({"tick": 17, "claimed": 45, "completed": 44, "failed": 1, "workers": [], "ms": 612,
                                     "tenants": {"tenant-1": 20, "tenant-2": 25}, "load_test": true})");
    EXPECT_EQ(tick.claimed, 45);
    EXPECT_EQ(tick.failed, 1);
    EXPECT_EQ(tick.tenants.at("tenant-2"), 25);
}

TEST(ServerJsonTest, what_is_not_as_agreed_is_an_error_with_its_place) {
    for (const char *text : {"", "5", "[]", "{}", R"({"queue_stats": {"queued": "many"}})"}) {
        EXPECT_THROW(db::parse_snapshot(text), db::DatabaseError) << text;
        EXPECT_THROW(db::parse_tick(text), db::DatabaseError) << text;
    }
}

TEST(ArrayLiteralTest, quotes_and_backslashes_are_escaped) {
    EXPECT_EQ(db::array_literal({}), "{}");
    EXPECT_EQ(db::array_literal({"a", "b c", R"(q"\)", "{,}"}), R"({"a","b c","q\"\\","{,}"})");
}
