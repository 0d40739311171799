// The account by id: a sound phase, and one defect at a time, each of which turns exactly its column red; and
// that it takes little memory.
#include <algorithm>
#include <fstream>
#include <functional>

#include <gtest/gtest.h>

#include "judge/ledger.hpp"

using namespace fairq::driver;

namespace {

const char *const kRun = "abc123";

struct Case {
    std::vector<judge::JournalEntry> entries;
    std::vector<judge::JobRow> rows;
    bool at_rest = true;

    judge::Ledger ledger() const {
        judge::Journal journal;
        journal.tenant_index("tenant-1");
        journal.tenant_index("tenant-2");
        for (const judge::JournalEntry &entry : entries)
            if (entry.event == judge::Event::acknowledged)
                journal.count_invoked(1);
        journal.append(entries);
        judge::Classifier classifier(journal, kRun, at_rest);
        for (const judge::JobRow &row : rows)
            classifier.add(row);
        return classifier.finish();
    }

    judge::JobRow &row(long long id) {
        return *std::find_if(rows.begin(), rows.end(), [&](const auto &row) { return row.id == id; });
    }
};

judge::JobRow completed(long long id) {
    return {id,          id % 2 == 0 ? "tenant-2" : "tenant-1",
            "completed", judge::job_key(kRun, judge::job_number(1, static_cast<std::uint64_t>(id))),
            true,        1};
}

judge::JournalEntry acknowledged(long long id) {
    return {id, judge::job_number(1, static_cast<std::uint64_t>(id)), id % 2 == 0 ? 1U : 0U,
            judge::Event::acknowledged};
}

Case sound() {
    Case made;
    for (const long long id : {3, 1, 4, 2}) // several sessions: not in the order of their ids
        made.entries.push_back(acknowledged(id));
    for (long long id = 1; id <= 4; ++id)
        made.rows.push_back(completed(id));
    return made;
}

struct Defect {
    const char *name;
    std::function<void(Case &)> make;
    long long judge::Ledger::*column;
};

const long long judge::Ledger::*const kColumns[] = {
    &judge::Ledger::lost,        &judge::Ledger::duplicated, &judge::Ledger::unexpected,
    &judge::Ledger::stuck,       &judge::Ledger::unfinished, &judge::Ledger::outbox,
    &judge::Ledger::dead,        &judge::Ledger::foreign,    &judge::Ledger::failed,
    &judge::Ledger::recovered,   &judge::Ledger::vanished,   &judge::Ledger::early,
    &judge::Ledger::out_of_order};

void end_as(Case &made, long long id, const char *status) {
    made.row(id).status = status;
    made.row(id).messages = 0;
}

/// Resident memory at its highest, in bytes, since reset_peak_memory().
std::size_t peak_memory() {
    std::ifstream file("/proc/self/status");
    for (std::string word; file >> word;)
        if (std::size_t kilobytes = 0; word == "VmHWM:" && file >> kilobytes)
            return kilobytes * 1024;
    return 0;
}

void reset_peak_memory() {
    std::ofstream("/proc/self/clear_refs") << "5";
}

} // namespace

TEST(LedgerTest, a_sound_phase_counts_every_job_once_and_nothing_else) {
    const judge::Ledger ledger = sound().ledger();
    EXPECT_EQ(ledger.attempted, 4);
    EXPECT_EQ(ledger.completed, 4);
    EXPECT_EQ(ledger.acknowledged, 4);
    for (const auto column : kColumns)
        EXPECT_EQ(ledger.*column, 0);
    EXPECT_EQ(ledger.tenant_completed.at("tenant-1"), 2);
    EXPECT_EQ(ledger.tenant_jobs.at("tenant-2"), 2);
    EXPECT_TRUE(ledger.first_bad.empty());
}

TEST(LedgerTest, each_defect_turns_exactly_its_column_red) {
    const Defect defects[] = {
        {"row deleted", [](Case &c) { c.rows.erase(c.rows.begin()); }, &judge::Ledger::lost},
        {"last row deleted", [](Case &c) { c.rows.pop_back(); }, &judge::Ledger::lost},
        {"row deleted, but sent", [](Case &c) { c.rows[1] = {2, "", "", "", true, 1}; },
         &judge::Ledger::lost},
        {"row twice", [](Case &c) { c.rows.insert(c.rows.begin() + 1, c.rows[0]); },
         &judge::Ledger::duplicated},
        {"sent twice", [](Case &c) { c.row(2).messages = 2; }, &judge::Ledger::duplicated},
        {"acknowledged twice", [](Case &c) { c.entries.push_back(c.entries[0]); },
         &judge::Ledger::duplicated},
        {"acknowledged for another key",
         [](Case &c) { c.row(2).idempotency_key = judge::job_key(kRun, judge::job_number(1, 77)); },
         &judge::Ledger::duplicated},
        {"a job of this run's name that nobody enqueued", [](Case &c) { c.rows.push_back(completed(9)); },
         &judge::Ledger::unexpected},
        {"somebody else's",
         [](Case &c) {
             c.rows.push_back({9, "tenant-9", "queued", "abc12-1-9", true, 0});
         },
         &judge::Ledger::foreign},
        {"queued at rest", [](Case &c) { end_as(c, 1, "queued"); }, &judge::Ledger::stuck},
        {"locked at rest", [](Case &c) { end_as(c, 1, "locked"); }, &judge::Ledger::stuck},
        {"queued and moving",
         [](Case &c) {
             end_as(c, 1, "queued");
             c.at_rest = false;
         },
         &judge::Ledger::unfinished},
        {"in back-off",
         [](Case &c) {
             end_as(c, 1, "scheduled");
             c.row(1).may_run = false;
         },
         &judge::Ledger::unfinished},
        {"never sent", [](Case &c) { c.row(3).messages = 0; }, &judge::Ledger::outbox},
        {"message without a job",
         [](Case &c) {
             c.rows.push_back({77, "", "", "", true, 1});
         },
         &judge::Ledger::outbox},
        {"claimed before its time", [](Case &c) { c.row(2).early = true; }, &judge::Ledger::early},
        {"claimed before the stage before had ended",
         [](Case &c) {
             for (const long long id : {1, 2}) {
                 c.row(id).pipeline_run = 5;
                 c.row(id).stage = static_cast<int>(id);
                 c.row(id).claimed_at = 100;
                 c.row(id).ended_at = 200;
             }
         },
         &judge::Ledger::out_of_order},
        {"dead, but sent", [](Case &c) { c.row(1).status = "dead"; }, &judge::Ledger::outbox},
        {"dead", [](Case &c) { end_as(c, 1, "dead"); }, &judge::Ledger::dead},
        {"cancelled", [](Case &c) { end_as(c, 1, "cancelled"); }, &judge::Ledger::dead},
        {"refused by the server",
         [](Case &c) {
             c.entries.push_back({0, judge::job_number(1, 50), 0, judge::Event::failed});
         },
         &judge::Ledger::failed},
        {"no answer, and not there",
         [](Case &c) {
             c.entries.push_back({0, judge::job_number(1, 50), 0, judge::Event::unknown});
         },
         &judge::Ledger::vanished},
        {"no answer, but there",
         [](Case &c) {
             c.entries.push_back({0, judge::job_number(1, 50), 0, judge::Event::unknown});
             c.rows.push_back(completed(50));
         },
         &judge::Ledger::recovered},
    };
    for (const Defect &defect : defects) {
        Case made = sound();
        defect.make(made);
        const judge::Ledger ledger = made.ledger();
        for (const auto column : kColumns)
            EXPECT_EQ(ledger.*column, column == defect.column ? 1 : 0) << defect.name;
    }
}

namespace {

/// The fourth job as an external worker left it: it sends no message, its completion is written down.
judge::Ledger with_completions(const std::vector<judge::Event> &events, const char *status) {
    Case made = sound();
    made.row(4).status = status;
    made.row(4).messages = 0;
    for (const judge::Event event : events)
        made.entries.push_back({4, 0, 0, event});
    return made.ledger();
}

} // namespace

TEST(LedgerTest, an_accepted_completion_of_an_external_worker_counts_as_the_jobs_message) {
    using E = judge::Event;
    EXPECT_EQ(with_completions({E::completed}, "completed").completed, 4);
    EXPECT_EQ(with_completions({E::completion_unknown}, "completed").completed, 4) << "it was accepted, then";
    EXPECT_EQ(with_completions({E::completion_unknown, E::completed}, "completed").completed, 4);
    EXPECT_EQ(with_completions({E::completion_unknown}, "queued").stuck, 1);
}

TEST(LedgerTest, completions_that_cannot_be_turn_exactly_their_column_red) {
    using E = judge::Event;
    EXPECT_EQ(with_completions({E::completed, E::completed}, "completed").duplicated, 1);
    EXPECT_EQ(with_completions({}, "completed").outbox, 1) << "nobody completed it";
    EXPECT_EQ(with_completions({E::completed}, "queued").outbox, 1) << "accepted, but not there";
    EXPECT_EQ(with_completions({E::completed}, "dead").outbox, 1);
    EXPECT_EQ(with_completions({E::completed}, "queued").stuck, 0);
}

TEST(LedgerTest, attempts_beyond_the_first_are_counted) {
    Case made = sound();
    made.row(1).attempts = 1;
    made.row(2).attempts = 3;
    EXPECT_EQ(made.ledger().executed_again, 2);
    EXPECT_EQ(made.ledger().completed, 4);
}

TEST(LedgerTest, the_first_offenders_are_named) {
    Case made = sound();
    made.rows.erase(made.rows.begin() + 1);
    ASSERT_EQ(made.ledger().first_bad.size(), 1U);
    EXPECT_EQ(made.ledger().first_bad[0], "job 2: acknowledged, but gone");
}

TEST(LedgerTest, no_more_than_ten_offenders_are_named) {
    Case made;
    for (long long id = 1; id <= 50; ++id)
        made.entries.push_back(acknowledged(id));
    EXPECT_EQ(made.ledger().lost, 50);
    EXPECT_EQ(made.ledger().first_bad.size(), 10U);
}

TEST(LedgerTest, ledgers_of_phases_add_up) {
    judge::Ledger total = sound().ledger();
    total += sound().ledger();
    EXPECT_EQ(total.completed, 8);
    EXPECT_EQ(total.tenant_jobs.at("tenant-2"), 4);
}

TEST(JournalTest, a_key_names_run_sender_and_job) {
    const std::uint64_t number = judge::job_number(3, 12'345'678'901);
    EXPECT_EQ(judge::job_key(kRun, number), "abc123-3-12345678901");
    EXPECT_EQ(judge::parse_job_key(kRun, judge::job_key(kRun, number)), number);
    for (const char *other : {"", "abc123", "abc123-", "abc123-3", "abc123-3-", "abc123-3-x", "abc123-3-5 ",
                              "abc12-3-5", "xabc123-3-5", "abc1234-3-5"})
        EXPECT_EQ(judge::parse_job_key(kRun, other), 0U) << other;
}

TEST(JournalTest, a_cleared_journal_knows_nothing) {
    judge::Journal journal;
    journal.append({acknowledged(1)});
    journal.clear();
    EXPECT_EQ(journal.counts().acknowledged, 0);
    EXPECT_EQ(journal.by_id(judge::Event::acknowledged, judge::Event::acknowledged).next(), nullptr);
}

TEST(JournalTest, five_million_jobs_are_judged_in_less_than_150_megabytes) {
    constexpr long long kJobs = 5'000'000;
    constexpr long long kBatch = 10'000;
    judge::Journal journal;
    journal.tenant_index("tenant-1");
    reset_peak_memory();
    const std::size_t before = peak_memory();
    ASSERT_GT(before, 0U);
    std::vector<judge::JournalEntry> batch;
    for (long long i = 0; i < kJobs; ++i) {
        const long long id = i * 3'000'017 % kJobs + 1; // every id once, in no order
        batch.push_back(
            {id, judge::job_number(1, static_cast<std::uint64_t>(id)), 0, judge::Event::acknowledged});
        if (batch.size() == kBatch) {
            journal.append(batch);
            batch.clear();
        }
    }
    judge::Classifier classifier(journal, kRun, true);
    for (long long id = 1; id <= kJobs; ++id)
        if (id != 4'000'000)
            classifier.add({id, "tenant-1", "completed", "", true, 1});
    const judge::Ledger ledger = classifier.finish();
    EXPECT_EQ(ledger.completed, kJobs - 1);
    EXPECT_EQ(ledger.lost, 1);
    EXPECT_LT(peak_memory() - before, 150U * 1024 * 1024);
    RecordProperty("bytes", std::to_string(peak_memory() - before));
}
