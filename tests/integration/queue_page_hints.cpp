// A page hint sends a claim to the page of the lane index where the last one began. Whatever has become of
// that page since, claims give the jobs that come first.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "altered_installation.hpp"
#include "queue_checker.hpp"

using namespace fairq::driver;
using namespace fairq::test;

namespace {

class PageHints : public testing::Test {
protected:
    explicit PageHints(const std::string &rule_left_out = "") : cluster_(options(), rule_left_out) {
        // The lane's neighbours in the index have nothing left to claim. The lane itself has ten pages, of
        // which claims have reached the fifth.
        enqueue_jobs_of("b", 50);
        enqueue_jobs_of("d", 50);
        claim(database_, 100);
        enqueue_jobs_of("c", 2000);
        for (int i = 0; i < 20; ++i)
            finish(claim(database_, 50));
    }

    static ClusterOptions options() {
        ClusterOptions made;
        made.needs_cron = false;
        made.settings = {{"fsync", "off"}, {"autovacuum", "off"}};
        return made;
    }

    void enqueue_jobs_of(const std::string &tenant, int jobs, int priority = 0) {
        database_.query("SELECT count(enqueue_job($1, 'mail', priority => $2::integer)) FROM "
                        "generate_series(1, $3::integer)",
                        {tenant, std::to_string(priority), std::to_string(jobs)});
    }

    void finish(const ClaimedJobs &jobs) { complete(database_, jobs.ids, jobs.lock_token); }

    std::vector<std::int64_t> next_by_the_table(int count) {
        std::vector<std::int64_t> ids;
        for (const Row &row : database_.query(
                 "SELECT id FROM job_live WHERE status = 'queued' ORDER BY priority, position LIMIT $1",
                 {std::to_string(count)}))
            ids.push_back(std::stoll(row[0].value()));
        return ids;
    }

    /// Whether so many claims, one after the other, give the jobs that come first.
    bool claims_are_right(int claims) {
        for (int i = 0; i < claims; ++i) {
            const std::vector<std::int64_t> due = next_by_the_table(50);
            const ClaimedJobs given = claim(database_, 50);
            if (given.ids != due)
                return false;
            finish(given);
        }
        return true;
    }

    OwnCluster cluster_;
    Database database_{cluster_.conninfo(), "page hints"};
};

TEST_F(PageHints, hide_no_job_that_comes_in_front_of_them) {
    ASSERT_TRUE(claims_are_right(2));
    enqueue_jobs_of("c", 300, -1);
    EXPECT_TRUE(claims_are_right(8));
}

TEST_F(PageHints, mislead_no_claim_when_their_pages_are_gone) {
    database_.query("VACUUM job_live");
    EXPECT_TRUE(claims_are_right(2));
    enqueue_jobs_of("c", 2000, -2); // may get the pages that were freed
    EXPECT_TRUE(claims_are_right(2));
}

TEST_F(PageHints, mislead_no_claim_in_a_new_index) {
    database_.query("REINDEX INDEX job_live_lane");
    EXPECT_TRUE(claims_are_right(2));
    database_.query("TRUNCATE job_live");
    enqueue_jobs_of("c", 60);
    EXPECT_TRUE(claims_are_right(1));
}

TEST_F(PageHints, lead_from_lane_to_lane) {
    database_.query("TRUNCATE job_live");
    claim(database_, 1); // the ring lets go of the lanes that were there
    for (const char *order : {"", "DESC"})
        database_.query(
            fmt::format("SELECT count(enqueue_job('t' || n, 'mail')) FROM (SELECT 1000 + n % 300 AS n FROM "
                        "generate_series(1, 900) AS n ORDER BY n {}) AS n",
                        order));
    std::size_t given = 0;
    for (int i = 0; i < 36; ++i) {
        const ClaimedJobs jobs = claim(database_, 50);
        given += jobs.ids.size();
        finish(jobs);
    }
    EXPECT_EQ(given, 1800U);
}

class BlindlyTrustedPageHints : public PageHints {
protected:
    BlindlyTrustedPageHints() : PageHints("believing_page_hints") {}
};

TEST_F(BlindlyTrustedPageHints, are_found_to_hide_jobs) {
    ASSERT_TRUE(claims_are_right(2));
    enqueue_jobs_of("c", 300, -1);
    EXPECT_FALSE(claims_are_right(8));
}

} // namespace
