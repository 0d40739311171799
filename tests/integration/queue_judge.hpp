// queue_judge.hpp: judges a history: every commit has to respect caps and concurrency keys, and no job may be
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

#include "queue_history.hpp"

namespace fairq::test {

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

Judgement judge(const std::vector<Commit> &history);

} // namespace fairq::test
