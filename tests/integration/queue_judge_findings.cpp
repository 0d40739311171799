// The judge of histories (judge/history.hpp), on histories made by hand: each kind of violation is seen, and
// what is allowed is not taken for one.
#include <gtest/gtest.h>

#include "judge/history.hpp"

using namespace fairq::driver::judge;

namespace {

/// A history, a transaction a call. Its numbers grow, and it began when all before had ended.
class History {
public:
    History &cap(std::optional<int> cap) { return changes_cap(cap).returned(); }

    /// As cap(), but the call that sets the cap has not returned yet.
    History &changes_cap(std::optional<int> cap) {
        next().caps = {{"t", cap}};
        return *this;
    }
    History &returned() {
        next().caps_in_force = {"t"};
        return *this;
    }

    History &locks(std::vector<std::int64_t> jobs, const std::string &token, const std::string &key = "",
                   const std::string &tenant = "t") {
        Commit &commit = next();
        for (const std::int64_t id : jobs)
            commit.jobs.push_back(job(id, token, key, tenant));
        return *this;
    }

    /// As locks(), by a call that began when only the transactions before this one had ended.
    History &locks_since(Xid xid, std::vector<std::int64_t> jobs, const std::string &token) {
        locks(std::move(jobs), token);
        commits_.back().call_began = before(xid);
        return *this;
    }

    /// The call of the last transaction ended when only the transactions before this one had.
    History &call_ended(Xid xid) {
        commits_.back().call_ended = before(xid);
        return *this;
    }

    History &frees(std::int64_t id) { return locks({id}, ""); }
    History &ends(std::int64_t id) {
        frees(id);
        commits_.back().jobs[0].gone = true;
        return *this;
    }

    History &in_one_transaction(std::vector<JobChange> changes) {
        next().jobs = std::move(changes);
        return *this;
    }

    static JobChange job(std::int64_t id, const std::string &token, const std::string &key = "",
                         const std::string &tenant = "t") {
        JobChange change;
        change.id = id;
        change.tenant = tenant;
        change.key = key;
        change.lock_token = token;
        return change;
    }

    Xid last() const { return commits_.size(); }
    const std::vector<Commit> &commits() const { return commits_; }
    Judgement judged() const { return judge_history(commits_); }

private:
    static Snapshot before(Xid xid) {
        return Snapshot(std::to_string(xid) + ":" + std::to_string(xid) + ":");
    }

    Commit &next() {
        const Xid xid = commits_.size() + 1;
        commits_.emplace_back();
        commits_.back().xid = xid;
        commits_.back().call_began = before(xid);
        return commits_.back();
    }

    std::vector<Commit> commits_;
};

void expect_clean(const Judgement &judged) {
    EXPECT_TRUE(judged.over_cap.empty());
    EXPECT_TRUE(judged.double_claims.empty());
    EXPECT_TRUE(judged.double_keys.empty());
    EXPECT_TRUE(judged.still_locked.empty());
}

using Sentences = std::vector<std::string>;

TEST(Judge, finds_nothing_in_a_history_that_keeps_to_the_cap) {
    const Judgement judged = History()
                                 .cap(2)
                                 .locks({1, 2}, "a")
                                 .ends(1)
                                 .locks({3}, "b")
                                 .frees(2)
                                 .ends(3)
                                 .locks({2}, "c")
                                 .ends(2)
                                 .judged();
    expect_clean(judged);
    EXPECT_EQ(judged.claims, 3);
    EXPECT_EQ(judged.of_capped_tenants, 3);
    EXPECT_EQ(judged.to_the_brim, 2);
}

TEST(Judge, sees_a_commit_that_goes_over_the_cap) {
    const Judgement judged =
        History().cap(2).locks({1, 2}, "a").locks({3}, "b").ends(1).ends(2).ends(3).judged();
    EXPECT_EQ(judged.over_cap, Sentences{"transaction 4 brought tenant t to 3 locked jobs, its cap is 2"});
    EXPECT_EQ(History().cap(2).locks({1, 2, 3}, "a").judged().over_cap.size(), 1U);
}

TEST(Judge, judges_claims_and_not_what_was_running_when_the_cap_was_lowered) {
    History history;
    history.cap(3).locks({1, 2, 3}, "a").cap(1).ends(1);
    EXPECT_TRUE(history.judged().over_cap.empty());
    EXPECT_EQ(history.locks({4}, "b").judged().over_cap.size(), 1U);
}

TEST(Judge, takes_no_other_change_of_a_locked_job_for_a_claim) {
    const Judgement judged =
        History().cap(2).locks({1, 2}, "a").cap(1).locks({2}, "a").locks({1}, "a").judged(); // the same lease
    EXPECT_EQ(judged.claims, 1);
    EXPECT_TRUE(judged.over_cap.empty());
    EXPECT_TRUE(judged.double_claims.empty());
}

TEST(Judge, lets_a_claim_go_by_the_old_cap_only_if_it_began_before_the_new_one_had_returned) {
    History history;
    history.cap(2).locks({1}, "a");
    const Xid lowered = history.last() + 1;
    history.changes_cap(1).returned();
    History early = history, late = history;
    const Judgement judged = early.locks_since(lowered + 1, {2}, "b").judged();
    EXPECT_TRUE(judged.over_cap.empty());
    EXPECT_EQ(judged.with_choice, 1);
    EXPECT_EQ(late.locks({2}, "b").judged().over_cap.size(), 1U);
}

TEST(Judge, lets_a_claim_go_by_a_new_cap_only_if_it_ended_after_the_change) {
    History history;
    history.cap(1).locks({1}, "a");
    const Xid began = history.last() + 1;
    history.cap(2);
    History after = history, before = history;
    EXPECT_TRUE(after.locks_since(began, {2}, "b").judged().over_cap.empty());
    EXPECT_EQ(before.locks_since(began, {2}, "b").call_ended(began).judged().over_cap.size(), 1U);
}

TEST(Judge, counts_a_claim_without_cap_for_the_claims_that_began_after_its_commit) {
    History history;
    const Xid began = history.cap(std::nullopt).cap(1).last() + 1;
    history.locks_since(3, {1}, "a"); // under way since there was no cap
    History beside = history, after = history;
    const Judgement judged = beside.locks_since(began, {2}, "b").judged();
    EXPECT_TRUE(judged.over_cap.empty());
    EXPECT_EQ(judged.spared, 1);
    EXPECT_EQ(after.locks({2}, "b").judged().over_cap.size(), 1U);
    EXPECT_EQ(beside.ends(2).locks({3}, "c").judged().over_cap.size(), 1U); // not spared for ever
}

TEST(Judge, sees_a_job_that_is_claimed_while_it_is_locked) {
    EXPECT_EQ(History().locks({1}, "a").locks({1}, "b").judged().double_claims,
              Sentences{"transaction 2 locked job 1, which was locked"});
    EXPECT_TRUE(History().locks({1}, "a").frees(1).locks({1}, "b").judged().double_claims.empty());
    // Put back and claimed again at once.
    EXPECT_TRUE(History()
                    .locks({1}, "a")
                    .in_one_transaction({History::job(1, ""), History::job(1, "b")})
                    .judged()
                    .double_claims.empty());
}

TEST(Judge, sees_two_locked_jobs_of_one_key) {
    EXPECT_EQ(History().locks({1}, "a", "k").locks({2}, "b", "k").judged().double_keys,
              Sentences{"transaction 2: 2 jobs of key t/k are locked"});
    EXPECT_EQ(History().locks({1, 2}, "a", "k").judged().double_keys.size(), 1U);
    EXPECT_TRUE(History().locks({1}, "a", "k").locks({2}, "b", "k", "other").judged().double_keys.empty());
    EXPECT_TRUE(History().locks({1}, "a", "k").locks({2}, "b", "l").judged().double_keys.empty());
    EXPECT_TRUE(History().locks({1}, "a", "k").ends(1).locks({2}, "b", "k").judged().double_keys.empty());
    // What counts is what the commit leaves.
    EXPECT_TRUE(History()
                    .locks({1}, "a", "k")
                    .in_one_transaction({History::job(2, "b", "k"), History::job(1, "", "k")})
                    .judged()
                    .double_keys.empty());
}

TEST(Judge, knows_a_cap_that_was_in_force_before_the_history_began) {
    const History history = History().locks({1}, "a").locks({2}, "b");
    HistoryJudge knows, knows_not;
    knows.has_cap("t", 1);
    for (const Commit &commit : history.commits()) {
        knows.see(commit);
        knows_not.see(commit);
    }
    EXPECT_EQ(knows.result().over_cap,
              Sentences{"transaction 2 brought tenant t to 2 locked jobs, its cap is 1"});
    EXPECT_EQ(knows_not.result().over_cap, Sentences{});
}

TEST(Judge, sees_a_job_that_stays_locked) {
    EXPECT_EQ(History().locks({1, 2}, "a").ends(1).judged().still_locked, std::vector<std::int64_t>{2});
}

} // namespace
