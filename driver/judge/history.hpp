// history.hpp: judges a history: every commit has to respect caps and concurrency keys, and no job may be
// held by two leases at a time.
//
// The rule for caps: no commit brings a tenant's locked jobs above the cap that was in force when the claim's
// call began. Exactly:
//   - A cap is in force when the statement that set it has returned; a claim's call began after that if the
//   snapshot
//     noted at its begin sees the note of it. A call may also go by any cap that was set since, until it
//     ended.
//   - A call that began while its tenant had no cap locks without counting, and without a lock that others
//   could see.
//     So its jobs count for another claim only if they had been committed when that claim's call began; for
//     all that follow, always.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace fairq::driver::judge {

using Xid = std::uint64_t;

/// What pg_current_snapshot() says: which of the transactions that committed had done so by then.
class Snapshot {
public:
    explicit Snapshot(const std::string &text);
    bool sees(Xid xid) const;

private:
    Xid end_ = 0;
    std::vector<Xid> in_progress_; // sorted
};

/// A job of job_live as a transaction left it, or took it away.
struct JobChange {
    std::int64_t id = 0;
    bool is_new = false, gone = false;
    std::string tenant, key;
    std::string lock_token; ///< empty: not locked
};

struct CapChange {
    std::string tenant;
    std::optional<int> cap; ///< none: no limit
};

struct Commit {
    Xid xid = 0;
    std::vector<JobChange> jobs; ///< one after the other; a job may change more than once
    std::vector<CapChange> caps;
    std::optional<Snapshot> call_began, call_ended; ///< noted by a session that claims
    std::vector<std::string> caps_in_force;         ///< tenants whose last change has returned to who made it
};

struct Judgement {
    std::vector<std::string> over_cap, double_claims, double_keys; ///< a sentence for each
    // How hard it was tried.
    int claims = 0;            ///< commits that locked jobs
    int of_capped_tenants = 0; ///< of them and each tenant: those that had to keep to a cap
    int with_choice = 0;       ///< of those: the cap changed during the call, and the larger one counts
    int to_the_brim = 0;       ///< of those: not one job more would have been allowed
    int spared = 0;            ///< of those: jobs did not count that had been claimed without a cap meanwhile
    std::vector<std::int64_t> jobs, still_locked;
};

/// Takes the commits one after the other, so that a history may be of any length.
class HistoryJudge {
public:
    HistoryJudge();
    ~HistoryJudge();

    /// A cap that was in force before the history began.
    void has_cap(const std::string &tenant, int cap);

    void see(const Commit &commit);

    Judgement result();

private:
    class Judge;
    std::unique_ptr<Judge> judge_;
};

Judgement judge_history(const std::vector<Commit> &history);

} // namespace fairq::driver::judge
