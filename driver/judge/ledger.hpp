// ledger.hpp: the exact account of a phase, by job id: what was acknowledged against what the database shows.
// Both come in the order of their ids, one after the other, so that any number of jobs can be compared. Pure.
// The words are those that people who test queues know.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "judge/fairness.hpp"
#include "judge/journal.hpp"

namespace fairq::driver::judge {

/// A load-test job of the database with its messages; or a message whose job is not there. A handler sends a
/// message for each job that it completes; of an external worker's job the accepted completion counts as one.
struct JobRow {
    long long id = 0;
    std::string tenant;
    std::string status; ///< empty: there is no job, only messages
    std::string idempotency_key;
    bool may_run = true; ///< false: scheduled for a time that has not come, after a failure say
    long long messages = 0;
    long long attempts = 0;
    bool early = false;                        ///< claimed before it was to run
    long long pipeline_run = 0;                ///< 0: it belongs to none
    int stage = 0;                             ///< of the run
    std::int64_t claimed_at = 0, ended_at = 0; ///< by the server's clock, in microseconds, when it has a run
};

struct Ledger {
    long long attempted = 0;
    long long acknowledged = 0;
    long long failed = 0; ///< enqueues that the server refused
    long long unknown = 0;
    long long recovered = 0; ///< unknown enqueues that are there
    long long vanished = 0;  ///< unknown enqueues that are not
    long long completed = 0; ///< exactly once, with exactly one message
    long long lost = 0;
    long long duplicated = 0;
    long long unexpected = 0; ///< jobs with this run's name that it did not enqueue
    long long stuck = 0;
    long long unfinished = 0; ///< still moving when the phase ended, or waiting for their time
    long long outbox = 0;
    long long dead = 0;
    long long executed_again = 0; ///< attempts beyond the first: after a failure, or a lease that ended
    long long foreign = 0;        ///< load-test jobs of somebody else: reported, not judged
    long long early = 0;          ///< claimed before they were to run
    long long out_of_order = 0;   ///< claimed before the stage before theirs had ended
    long long leaks = 0;          ///< what the phase should have given back
    long long cap_violations = 0; ///< commits that brought a tenant above its cap
    long long key_violations = 0; ///< commits with two locked jobs of a concurrency key
    long long lease_overlaps = 0; ///< jobs that were locked while they were
    std::map<std::string, long long> tenant_jobs;
    std::map<std::string, long long> tenant_completed;
    std::vector<std::string> first_bad; ///< the first few offenders, in words

    Ledger &operator+=(const Ledger &other);

    /// Counts them, and names the first few.
    void add_found(long long Ledger::*column, const std::vector<std::string> &sentences);
};

/// Takes the rows of the database in the order of their ids, and compares.
class Classifier {
public:
    /// `at_rest`: nothing moves any more, what is unfinished and may run is stuck.
    Classifier(const Journal &journal, std::string run_id, bool at_rest);

    void add(const JobRow &row);
    Ledger finish();

private:
    void bad(long long &column, long long id, const std::string &why);
    JournalEntry take_acknowledged();
    void add_completions(JobRow &row);
    void pass_lost(long long id);
    void judge_known(const JobRow &row);
    void judge_stranger(const JobRow &row);
    void account(const JobRow &row);

    const Journal &journal_;
    const std::string run_id_;
    const bool at_rest_;
    SortedEntries jobs_, completions_;
    const JournalEntry *next_, *next_completion_;
    std::vector<std::uint64_t> unknown_;
    JobRow last_; ///< rows of one id come one after the other; judged when the id changes
    int last_rows_ = 0;
    std::map<long long, std::vector<StagedJob>> staged_; ///< completed jobs, by their run
    Ledger ledger_;
};

} // namespace fairq::driver::judge
