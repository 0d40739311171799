// What workers outside of the database call: claims whose commits need not wait for the disk, and one round
// trip for a whole batch.
#include "pg/async_commit.hpp"
#include "queue/internal.hpp"

#include <iterator>

namespace fairq::queue {

// Why a lost claim does no harm. WAL is one sequence: whoever's commit waits, a completion's say, takes along
// all that was committed before it, so only claims are lost that nothing followed. Their jobs are in their
// lanes again; a worker that had them finds its token unknown, as after any lease that has ended. What rode
// on the claim (promotions, reclaims, parked jobs) was due and is due again. A NOTIFY has nobody left to
// tell, and what shared memory was told at commit is gone with it. Not so for what must not be done twice at
// the same time, or shows outside: such claims wait (needs_durable_commit). Nor may a tick's claim be lost: a job whose
// handler brings down the server would never run out of attempts.
Claim claim_for_worker(const ClaimRequest &request) {
    bool const alone = pg::async_commit::wrote_only_losable();
    Claim given = claim(request);
    if (alone && !given.needs_durable_commit)
        pg::async_commit::may_be_lost();
    return given;
}

// An error would take back the jobs that were accepted, so the others are told by a warning.
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
