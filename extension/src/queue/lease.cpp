// Leases: heartbeat and reclaim. Nobody who reclaims waits: a lease that somebody has locked is left alone,
// and so is a job that somebody is finishing just now. A reclaimed job goes back to its place, which it never
// left; one without attempts left is dead, so a job that kills its worker ends.
#include "queue/queue.hpp"
#include "queue/statements.hpp"

namespace fairq::queue {

namespace {

constexpr int kEverything = INT32_MAX;
constexpr int kLeasesPerSweep = 100; // of leases without jobs: some milliseconds

struct Lease {
    int64 token;
    std::string worker;
    Ids jobs;
    TimestampTz locked_at;
};

std::vector<Lease> leases_of(const pg::Rows &rows) {
    std::vector<Lease> leases;
    for (size_t row = 0; row < rows.size(); ++row)
        leases.push_back({rows.int64_at(row, 1), rows.text_at(row, 2), pg::int64s_of(rows.datum(row, 3)),
                          rows.time_at(row, 4)});
    return leases;
}

struct HeldJobs {
    Ids again, dead;
    int64 again_load_test = 0, dead_load_test = 0;
    std::vector<std::string> again_tenants;
    FreedKeys dead_keys;
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
        if (!out_of_attempts)
            held.again_tenants.push_back(rows.text_at(row, 4));
        else if (!rows.is_null(row, 5))
            held.dead_keys.emplace_back(rows.text_at(row, 4), rows.text_at(row, 5));
    }
    return held;
}

// Puts back up to `most` jobs of a locked lease, and ends it if it holds no others.
int64 put_back(const Lease &lease, int most) {
    HeldJobs held = lock_jobs(lease, most);
    pg::Value const now = pg::of_time(pg::now());
    pg::Value const error =
        pg::of(std::string_view("the lease of worker \"" + lease.worker + "\" ended before the job did"));
    if (!held.again.empty())
        pg::execute(sql::kPutBack, {pg::of(held.again), error, now});
    if (!held.dead.empty())
        pg::execute(sql::kMoveToHistory, {pg::of(held.dead), pg::of(std::string_view("dead")), error, now});
    pg::execute(sql::kEndLease, {pg::of(lease.token), pg::of(lease.jobs)});
    count_move(JobStatus::locked, JobStatus::queued, static_cast<int64>(held.again.size()),
               held.again_load_test);
    count_move(JobStatus::locked, JobStatus::dead, static_cast<int64>(held.dead.size()), held.dead_load_test);
    lanes_gained(std::move(held.again_tenants));
    free_keys(held.dead_keys);
    return static_cast<int64>(held.size());
}

// Stale leases, oldest first, each seen once, whatever becomes of it. Locked one at a time: others may
// reclaim the rest.
class Stale {
public:
    explicit Stale(int64 stale_after) : before_(pg::now() - stale_after) {}

    std::optional<Lease> next() {
        pg::check_interrupts();
        std::vector<Lease> leases = leases_of(pg::execute(
            sql::kStaleLeases, {pg::of_time(before_), pg::of_time(last_locked_at_), pg::of(last_token_)}));
        if (leases.empty())
            return std::nullopt;
        last_locked_at_ = leases.front().locked_at;
        last_token_ = leases.front().token;
        return std::move(leases.front());
    }

private:
    TimestampTz before_, last_locked_at_ = DT_NOBEGIN;
    int64 last_token_ = 0;
};

} // namespace

int32 heartbeat(int64 lock_token) {
    return pg::with_spi([&] {
        return pg::execute(sql::kHeartbeat, {pg::of(lock_token), pg::of_time(pg::now())}).int32_at(0, 1);
    });
}

int64 reclaim(int64 stale_after, int max_jobs) {
    return pg::with_spi([&] {
        Stale stale(stale_after);
        int64 reclaimed = 0;
        while (reclaimed < max_jobs) {
            std::optional<Lease> const lease = stale.next();
            if (!lease)
                break;
            reclaimed += put_back(*lease, max_jobs - static_cast<int>(reclaimed));
        }
        return reclaimed;
    });
}

void sweep(int64 stale_after) {
    pg::with_spi([&] {
        Stale stale(stale_after);
        for (int i = 0; i < kLeasesPerSweep; ++i) {
            std::optional<Lease> const lease = stale.next();
            if (!lease || put_back(*lease, kEverything) > 0)
                return;
        }
    });
}

int64 reclaim_lease(int64 lock_token) {
    return pg::with_spi([&] {
        int64 reclaimed = 0;
        for (Lease const &lease : leases_of(pg::execute(sql::kLockLease, {pg::of(lock_token)})))
            reclaimed += put_back(lease, kEverything);
        return reclaimed;
    });
}

} // namespace fairq::queue
