// Leases: heartbeat and reclaim. The order of locks is lease, then its jobs by id; a lease that somebody has locked is left
// alone. A reclaimed job goes back to its place, which it never left; one without attempts left is dead, so a job that
// kills its worker ends.
#include "queue/queue.hpp"
#include "queue/statements.hpp"

namespace fairq::queue {

namespace {

struct Lease {
    int64 token;
    std::string worker;
    Ids jobs;
};

std::vector<Lease> leases_of(const pg::Rows &rows) {
    std::vector<Lease> leases;
    for (size_t row = 0; row < rows.size(); ++row)
        leases.push_back({rows.int64_at(row, 1), rows.text_at(row, 2), pg::int64s_of(rows.datum(row, 3))});
    return leases;
}

struct HeldJobs {
    Ids again, dead;
    int64 again_load_test = 0, dead_load_test = 0;
    size_t size() const { return again.size() + dead.size(); }
};

HeldJobs lock_jobs(const Lease &lease, int most) {
    pg::Rows const rows =
        pg::execute(sql::kJobsOfLease, {pg::of(lease.token), pg::of(lease.jobs), pg::of(int32{most})});
    HeldJobs held;
    for (size_t row = 0; row < rows.size(); ++row) {
        bool const out_of_attempts = rows.bool_at(row, 2);
        (out_of_attempts ? held.dead : held.again).push_back(rows.int64_at(row, 1));
        (out_of_attempts ? held.dead_load_test : held.again_load_test) += rows.bool_at(row, 3) ? 1 : 0;
    }
    return held;
}

// Puts back up to `most` jobs of a locked lease and ends it, unless it held more.
int64 put_back(const Lease &lease, int most) {
    HeldJobs const held = lock_jobs(lease, most);
    pg::Value const now = pg::of_time(pg::now());
    pg::Value const error = pg::of(std::string_view("the lease of worker \"" + lease.worker + "\" ended before the job did"));
    if (!held.again.empty())
        pg::execute(sql::kPutBack, {pg::of(held.again), error, now});
    if (!held.dead.empty())
        pg::execute(sql::kMoveToHistory, {pg::of(held.dead), pg::of(std::string_view("dead")), error, now});
    if (held.size() < static_cast<size_t>(most))
        pg::execute(sql::kEndLease, {pg::of(lease.token)});
    count_move(JobStatus::locked, JobStatus::queued, static_cast<int64>(held.again.size()), held.again_load_test);
    count_move(JobStatus::locked, JobStatus::dead, static_cast<int64>(held.dead.size()), held.dead_load_test);
    return static_cast<int64>(held.size());
}

} // namespace

int32 heartbeat(int64 lock_token) {
    return pg::with_spi(
        [&] { return pg::execute(sql::kHeartbeat, {pg::of(lock_token), pg::of_time(pg::now())}).int32_at(0, 1); });
}

int64 reclaim(int64 stale_after, int max_jobs) {
    return pg::with_spi([&] {
        pg::Value const stale = pg::of_time(pg::now() - stale_after);
        int64 reclaimed = 0;
        // One lease at a time: one that ended whole, without jobs, costs nothing of max_jobs.
        while (reclaimed < max_jobs) {
            std::vector<Lease> const leases = leases_of(pg::execute(sql::kStaleLeases, {stale, pg::of(int32{1})}));
            if (leases.empty())
                break;
            reclaimed += put_back(leases.front(), max_jobs - static_cast<int>(reclaimed));
            pg::check_interrupts();
        }
        return reclaimed;
    });
}

int64 reclaim_lease(int64 lock_token) {
    return pg::with_spi([&] {
        int64 reclaimed = 0;
        for (Lease const &lease : leases_of(pg::execute(sql::kLockLease, {pg::of(lock_token)})))
            reclaimed += put_back(lease, core::kMaxJobsPerCall * core::kMaxTickWorkers);
        return reclaimed;
    });
}

} // namespace fairq::queue
