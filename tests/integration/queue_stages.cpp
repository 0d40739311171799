// A pipeline under many workers: no stage begins before the one before it has ended, and every job is done
// once.
#include <random>

#include <gtest/gtest.h>

#include "counted_load.hpp"

using namespace fairq::driver;
using namespace fairq::test;

namespace {

using Names = std::vector<std::string>;
using Findings = std::vector<std::string>;

class Stages : public DatabaseTest {
protected:
    static constexpr int kStages = 3, kJobs = 1'002, kWorkers = 16;

    /// Claimed by 16 workers, one to five at a time: in which order, by what they saw.
    Findings order(const std::string &run_id) {
        CountedLoad load(conninfo());
        std::map<std::int64_t, int> stages;
        for (int stage = kStages; stage >= 1;
             --stage) // the latest first, so that the run is never complete too soon
            for (const std::int64_t id : load.enqueue(
                     database(), Names(kJobs / kStages, "pipe"), "stage " + std::to_string(stage),
                     run_id.empty() ? "" : ", run_id => " + run_id + ", stage => " + std::to_string(stage)))
                stages[id] = stage;
        const int max_jobs = static_cast<int>(test_seed() % 5) + 1;
        load.run({kWorkers, max_jobs, [&] { return load.completed() == kJobs; }, nullptr, true});
        EXPECT_EQ(findings(database(), load.replies()), Findings{});
        std::vector<StagedJob> jobs;
        for (const SeenJob &job : load.seen())
            jobs.push_back({job.id, stages.at(job.id), job.tick, job.completing});
        EXPECT_EQ(jobs.size(), std::size_t{kJobs});
        return out_of_order(jobs);
    }
};

TEST_F(Stages, of_1000_jobs_follow_each_other_under_16_workers) {
    const std::string run = database().scalar("SELECT create_pipeline_run('pipe', 'nightly')").value();
    EXPECT_EQ(order(run), Findings{});
    EXPECT_EQ(database().scalar("SELECT status FROM pipeline_runs").value(), "completed");
    EXPECT_EQ(number(database(), "SELECT count(*) FROM job_history WHERE attempts <> 1"), 0);
    EXPECT_EQ(number(database(), "SELECT count(*) FROM job_leases"), 0);
    EXPECT_EQ(metrics_are_wrong(database()), "");
}

TEST_F(Stages, that_are_none_are_seen_to_be_out_of_order) {
    EXPECT_GT(order("").size(), 0u);
}

TEST(StageOrder, is_broken_by_one_job_that_was_claimed_too_soon) {
    EXPECT_EQ(out_of_order({{1, 1, 1, 4}, {2, 1, 2, 3}, {3, 2, 5, 6}, {4, 3, 7, 8}}), Findings{});
    EXPECT_EQ(out_of_order({{1, 1, 1, 4}, {2, 1, 2, 3}, {3, 2, 4, 6}}),
              Findings{"job 3 of stage 2 was claimed too soon"});
    EXPECT_EQ(out_of_order({{1, 1, 1, 9}, {2, 3, 8, 9}}), Findings{"job 2 of stage 3 was claimed too soon"});
    EXPECT_EQ(out_of_order({{1, 1, 1, 9}, {2, 2, 2, 3}, {3, 3, 5, 6}}).size(), 2u);
}

} // namespace
