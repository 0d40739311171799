// The account by id: a sound phase, and one defect at a time, each of which turns exactly its column red.
#include <functional>

#include <gtest/gtest.h>

#include "judge/ledger.hpp"

using namespace fairq::driver;

namespace {

judge::LedgerInput sound_phase() {
    judge::LedgerInput input;
    input.attempted = 4;
    input.at_rest = true;
    for (long long id = 1; id <= 4; ++id) {
        const std::string tenant = id % 2 == 0 ? "tenant-2" : "tenant-1";
        input.accepted.push_back({id, tenant});
        input.rows.push_back({id, tenant, "completed", ""});
        input.messages[id] = 1;
    }
    return input;
}

struct Defect {
    const char *name;
    std::function<void(judge::LedgerInput &)> make;
    long long judge::Ledger::*column;
};

const long long judge::Ledger::*const kColumns[] = {
    &judge::Ledger::lost,       &judge::Ledger::duplicated, &judge::Ledger::unexpected, &judge::Ledger::stuck,
    &judge::Ledger::unfinished, &judge::Ledger::outbox,     &judge::Ledger::dead};

} // namespace

TEST(LedgerTest, a_sound_phase_counts_every_job_once_and_nothing_else) {
    const judge::Ledger ledger = judge::classify(sound_phase());
    EXPECT_EQ(ledger.completed, 4);
    EXPECT_EQ(ledger.acknowledged, 4);
    for (const auto column : kColumns)
        EXPECT_EQ(ledger.*column, 0);
    EXPECT_EQ(ledger.tenant_completed.at("tenant-1"), 2);
    EXPECT_TRUE(ledger.first_bad.empty());
}

TEST(LedgerTest, each_defect_turns_exactly_its_column_red) {
    const Defect defects[] = {
        {"row deleted", [](judge::LedgerInput &in) { in.rows.erase(in.rows.begin()); }, &judge::Ledger::lost},
        {"row twice", [](judge::LedgerInput &in) { in.rows.push_back(in.rows[0]); },
         &judge::Ledger::duplicated},
        {"sent twice", [](judge::LedgerInput &in) { in.messages[2] = 2; }, &judge::Ledger::duplicated},
        {"acknowledged twice", [](judge::LedgerInput &in) { in.accepted.push_back(in.accepted[0]); },
         &judge::Ledger::duplicated},
        {"foreign row",
         [](judge::LedgerInput &in) {
             in.rows.push_back({9, "tenant-9", "queued", ""});
         },
         &judge::Ledger::unexpected},
        {"queued at rest",
         [](judge::LedgerInput &in) {
             in.rows[0].status = "queued";
             in.messages.erase(1);
         },
         &judge::Ledger::stuck},
        {"locked at rest",
         [](judge::LedgerInput &in) {
             in.rows[0].status = "locked";
             in.messages.erase(1);
         },
         &judge::Ledger::stuck},
        {"queued and moving",
         [](judge::LedgerInput &in) {
             in.rows[0].status = "queued";
             in.messages.erase(1);
             in.at_rest = false;
         },
         &judge::Ledger::unfinished},
        {"never sent", [](judge::LedgerInput &in) { in.messages.erase(3); }, &judge::Ledger::outbox},
        {"message without a job", [](judge::LedgerInput &in) { in.messages[77] = 1; },
         &judge::Ledger::outbox},
        {"dead, but sent", [](judge::LedgerInput &in) { in.rows[0].status = "dead"; },
         &judge::Ledger::outbox},
        {"dead",
         [](judge::LedgerInput &in) {
             in.rows[0].status = "dead";
             in.messages.erase(1);
         },
         &judge::Ledger::dead},
        {"cancelled",
         [](judge::LedgerInput &in) {
             in.rows[0].status = "cancelled";
             in.messages.erase(1);
         },
         &judge::Ledger::dead},
    };
    for (const Defect &defect : defects) {
        judge::LedgerInput input = sound_phase();
        defect.make(input);
        const judge::Ledger ledger = judge::classify(input);
        for (const auto column : kColumns)
            EXPECT_EQ(ledger.*column, column == defect.column ? 1 : 0) << defect.name;
    }
}

TEST(LedgerTest, an_enqueue_without_an_answer_may_be_there_or_not) {
    judge::LedgerInput input = sound_phase();
    input.unknown_keys = {"run-5", "run-6"};
    input.rows.push_back({5, "tenant-1", "completed", "run-5"});
    input.messages[5] = 1;
    const judge::Ledger ledger = judge::classify(input);
    EXPECT_EQ(ledger.unknown, 2);
    EXPECT_EQ(ledger.recovered, 1);
    EXPECT_EQ(ledger.unexpected, 0);
    EXPECT_EQ(ledger.completed, 5);
}

TEST(LedgerTest, the_first_offenders_are_named) {
    judge::LedgerInput input = sound_phase();
    input.rows.erase(input.rows.begin() + 1);
    ASSERT_EQ(judge::classify(input).first_bad.size(), 1U);
    EXPECT_EQ(judge::classify(input).first_bad[0], "job 2: acknowledged, but gone");
}

TEST(LedgerTest, no_more_than_ten_offenders_are_named) {
    judge::LedgerInput input;
    for (long long id = 1; id <= 50; ++id)
        input.accepted.push_back({id, "tenant-1"});
    EXPECT_EQ(judge::classify(input).lost, 50);
    EXPECT_EQ(judge::classify(input).first_bad.size(), 10U);
}

TEST(LedgerTest, ledgers_of_phases_add_up) {
    judge::Ledger total = judge::classify(sound_phase());
    total += judge::classify(sound_phase());
    EXPECT_EQ(total.completed, 8);
    EXPECT_EQ(total.tenant_jobs.at("tenant-2"), 4);
}
