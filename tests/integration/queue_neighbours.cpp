// What one tenant's flood, and one key's deploys, cost all other tenants: measured in claims, not in seconds,
// each time against the same run without.
#include <iostream>
#include <random>
#include <thread>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "counted_load.hpp"
#include "measure/percentile.hpp"

using namespace fairq::driver;
using namespace fairq::test;

namespace {

using Names = std::vector<std::string>;
using Findings = std::vector<std::string>;

constexpr int kWorkers = 8;

void print(const std::string &run, const CountedLoad &load, const std::string &type, const Waits &waits) {
    const std::vector<std::int64_t> all = all_of(waits), us = all_of(load.waits_in_microseconds(type));
    std::cout << fmt::format("{}: waits of {} jobs, p50 {} p99 {} most {} claims; p50 {} p99 {} ms\n", run,
                             all.size(), measure::percentile(all, 50), measure::percentile(all, 99),
                             measure::percentile(all, 100), measure::percentile(us, 50) / 1000,
                             measure::percentile(us, 99) / 1000);
}

// ---------------------------------------------------------------------------------------- a noisy neighbour

class NoisyNeighbour : public DatabaseTest {
protected:
    static constexpr int kFlood = 100'000, kSmallTenants = 99, kRounds = 10;

    /// How long the small jobs waited, in jobs of all tenants. Their tenants come with one job each, all at
    /// once, ten times; each time when the last one's jobs are claimed.
    Waits waits_next_to(const std::string &run, int flood, bool all_one_tenant = false) {
        database().query("TRUNCATE job_live, job_leases, job_history");
        CountedLoad load(conninfo());
        for (int done = 0; done < flood; done += 10'000)
            load.enqueue(database(), Names(static_cast<std::size_t>(std::min(flood - done, 10'000)), "noisy"),
                         "noise");
        Names tenants;
        for (int i = 0; i < kSmallTenants; ++i)
            tenants.push_back(all_one_tenant ? "noisy" : fmt::format("small-{}", i));
        std::mutex mutex; // of what follows
        int rounds = 0;
        std::int64_t left = 0;
        const auto next_round = [&](Database &database) {
            if (left > 0 || rounds == kRounds)
                return;
            std::shuffle(tenants.begin(), tenants.end(), random_);
            left = kSmallTenants;
            ++rounds;
            load.enqueue(database, tenants, "small");
        };
        const auto work = [&](Database &database, const SeenJob &job) {
            const std::lock_guard<std::mutex> lock(mutex);
            left -= job.type == "small" ? 1 : 0;
            next_round(database);
        };
        const auto done = [&] {
            const std::lock_guard<std::mutex> lock(mutex);
            return left == 0 && rounds == kRounds;
        };
        next_round(database());
        load.run({kWorkers, 1, done, work, true});
        const Waits waits = load.waits_in_claims("small");
        print(run, load, "small", waits);
        return waits;
    }

private:
    std::mt19937_64 random_{test_seed()};
};

TEST_F(NoisyNeighbour, with_100000_jobs_does_not_double_the_wait_of_any_of_99_small_tenants) {
    const Waits without = waits_next_to("alone", 0), with = waits_next_to("next to 100,000 jobs", kFlood);
    ASSERT_EQ(with.size(), std::size_t{kSmallTenants});
    EXPECT_EQ(all_of(with).size(), std::size_t{kSmallTenants * kRounds});
    EXPECT_EQ(slower_tenants(with, without, 2), Findings{});
}

TEST_F(NoisyNeighbour, is_seen_when_there_is_no_fairness) {
    const Waits without = waits_next_to("alone", 0);
    // First come, first served: all of them are one tenant.
    const Waits with = waits_next_to("behind 2,000 jobs", 2'000, true);
    EXPECT_EQ(slower_tenants(with, without, 2).size(), 1u);
    EXPECT_EQ(slower_tenants({{"a", {1, 2, 9}}, {"b", {1, 2, 8}}}, {{"a", {4}}, {"b", {3}}}, 2),
              Findings{"a waited 9 jobs, more than 8"});
}

// --------------------------------------------------------------------------------------- deploys of one key

class Deploys : public DatabaseTest {
protected:
    static constexpr int kDeploys = 50, kNormal = 500, kTenants = 5, kWaiting = 8; // of a tenant
    static constexpr std::int64_t kMarker = 471'147;

    struct Run {
        Waits waits; // of the normal jobs, in claims of all clients
        std::vector<Span> deploys;
        int marked_twice = 0; // deploys that found another one's mark
    };

    /// Normal jobs of five tenants, so many of each waiting all the time; the deploys, of one of them, come
    /// at once, at the beginning. A deploy takes until five more claims have been made.
    Run run(const std::string &name, int deploys, const std::string &key) {
        database().query("TRUNCATE job_live, job_leases, job_history");
        CountedLoad load(conninfo());
        std::atomic<int> marked_twice{0}, left{kNormal - kTenants * kWaiting};
        Names first;
        for (int i = 0; i < kTenants * kWaiting; ++i)
            first.push_back(fmt::format("tenant-{}", i % kTenants));
        if (deploys > 0)
            load.enqueue(database(), Names(static_cast<std::size_t>(deploys), "tenant-0"), "deploy",
                         key.empty() ? ""
                                     : ", concurrency_keys => array_fill('" + key + "'::text, ARRAY[50])");
        load.enqueue(database(), first, "normal");
        const auto work = [&](Database &database, const SeenJob &job) {
            if (job.type == "deploy")
                marked_twice += deploy(database, load, job) ? 0 : 1;
            else if (left-- > 0)
                load.enqueue(database, {job.tenant}, "normal");
        };
        load.run({kWorkers, 1, [&] { return load.completed() == kNormal + deploys; }, work, true});
        EXPECT_EQ(findings(database(), load.replies()), Findings{});
        Run run{load.waits_in_claims("normal"), {}, marked_twice};
        for (const SeenJob &job : load.seen())
            if (job.type == "deploy")
                run.deploys.push_back({job.id, job.tick, job.completing});
        print(name, load, "normal", run.waits);
        return run;
    }

private:
    /// False when another one is at it: by a lock that only one session can have.
    static bool deploy(Database &database, const CountedLoad &load, const SeenJob &job) {
        const std::string marker = std::to_string(kMarker);
        if (database.scalar("SELECT pg_try_advisory_lock($1)", {marker}) != "t")
            return false;
        for (int i = 0; i < 2'000 && load.ticks() < job.tick + 5; ++i) // the other clients go on claiming
            std::this_thread::sleep_for(Milliseconds(1));
        database.query("SELECT pg_advisory_unlock($1)", {marker});
        return true;
    }
};

/// The waits of the deploys' tenant, and those of all other tenants.
Waits split(Waits waits) {
    const std::vector<std::int64_t> own = waits.at("tenant-0");
    waits.erase("tenant-0");
    return {{"deployer", own}, {"others", all_of(waits)}};
}

TEST_F(Deploys, of_one_key_run_one_after_the_other_and_cost_normal_jobs_nothing) {
    const Run without = run("without deploys", 0, ""), with = run("with 50 deploys", kDeploys, "production");
    EXPECT_EQ(with.deploys.size(), std::size_t{kDeploys});
    EXPECT_EQ(overlaps(with.deploys), Findings{});
    EXPECT_EQ(with.marked_twice, 0);
    EXPECT_EQ(all_of(with.waits).size(), std::size_t{kNormal});
    const Waits waits = split(with.waits), before = split(without.waits);
    EXPECT_EQ(slower_tenants({{"others", waits.at("others")}}, before, 1.5), Findings{});
    // Its own share is for its deploys, too: one at a time. Fifty in a row would be five times as long.
    EXPECT_EQ(slower_tenants(waits, before, 2.5), Findings{});
}

TEST_F(Deploys, that_have_no_key_are_seen_to_run_at_once_and_to_be_in_the_way) {
    const Run without = run("without deploys", 0, ""),
              with = run("with 50 deploys without a key", kDeploys, "");
    EXPECT_GT(overlaps(with.deploys).size(), 0u);
    EXPECT_GT(with.marked_twice, 0);
    EXPECT_EQ(slower_tenants(split(with.waits), split(without.waits), 2.5).size(), 1u);
}

TEST(Overlaps, are_seen_between_neighbours_and_across_others) {
    EXPECT_EQ(overlaps({{1, 1, 2}, {3, 5, 6}, {2, 3, 4}}), Findings{});
    EXPECT_EQ(overlaps({{1, 1, 3}, {2, 3, 4}}), Findings{"jobs 1 and 2 ran at once"});
    EXPECT_EQ(overlaps({{1, 1, 9}, {2, 3, 4}, {3, 5, 6}}).size(), 2u);
}

} // namespace
