// The calls of workers outside of the database: claims whose commits need not wait for the disk, and one round
// trip for a whole batch.
#include "pg/async_commit.hpp"
#include "queue/internal.hpp"

#include <iterator>

namespace fairq::queue {

// Why a lost claim does no harm. WAL is one sequence: a commit that waits for the disk, a completion's for
// example, also makes durable all that was committed before it. So a crash loses only claims after which no commit
// waited. Their jobs are in their lanes again; a worker that had them finds its token unknown, as after any lease that
// has ended. The claim's housekeeping (promotions, reclaims, parked jobs) was due and is due again. After a crash no
// session is left that a NOTIFY could have told, and shared memory is empty. A claim waits (needs_durable_commit) if
// its loss could let two jobs run at the same time that must not, or could be seen outside. Nor may a tick's claim be
// lost: a job whose handler brings down the server would never run out of attempts.
Claim claim_for_worker(const ClaimRequest &request) {
    bool const alone = pg::async_commit::wrote_only_losable();
    Claim given = claim(request);
    if (alone && !given.needs_durable_commit)
        pg::async_commit::may_be_lost();
    return given;
}

// An error would undo the completion of the accepted jobs, so a warning names the rest.
void complete_or_warn(Ids job_ids, const Ids &allowed, int64 lock_token) {
    Ids accepted = complete(allowed, lock_token), lost;
    std::sort(accepted.begin(), accepted.end());
    std::sort(job_ids.begin(), job_ids.end());
    job_ids.erase(std::unique(job_ids.begin(), job_ids.end()), job_ids.end());
    std::set_difference(job_ids.begin(), job_ids.end(), accepted.begin(), accepted.end(),
                        std::back_inserter(lost));
    if (!lost.empty())
        pg::warn_leases_lost(lost, lock_token);
}

} // namespace fairq::queue
