// Leases: heartbeat and reclaim. A reclaim of stale leases never waits: it passes over a lease that another
// transaction has locked, and a job that another transaction is finishing. (Only reclaim_lease() waits for the row of
// its own lease.) A reclaimed job goes back to its place, without back-off; a job without attempts left is dead, so a
// job that kills its workers does not run for ever.
#include "queue/limits.hpp"
#include "queue/wait.hpp"
#include "tables/low_water_mark.hpp"

namespace fairq::queue {

namespace {

// SQL is laid out by hand.
// clang-format off

// token, now → number of jobs still held, whether the lease was there but was not changed
const pg::Statement kHeartbeat{pg::Plan::pinned, R"(
WITH lease AS (SELECT FROM @job_leases WHERE lock_token = $1),
     beat AS (UPDATE @job_leases SET heartbeat_at = $2 WHERE lock_token = $1 RETURNING job_ids)
SELECT count(*)::integer, EXISTS (SELECT FROM lease) AND NOT EXISTS (SELECT FROM beat)
  FROM beat, unnest(beat.job_ids) AS a (id) JOIN @job_live j ON j.id = a.id AND j.lock_token = $1)", {INT8OID, TIMESTAMPTZOID}};

// stale before, behind which (locked at, token) → token, worker, ids, locked at of the next one; locks it
const pg::Statement kStaleLeases{pg::Plan::pinned, R"(
SELECT lock_token, worker_id, job_ids, locked_at FROM @job_leases
 WHERE locked_at < $1 AND heartbeat_at < $1 AND (locked_at, lock_token) > ($2, $3)
 ORDER BY locked_at, lock_token LIMIT 1 FOR UPDATE SKIP LOCKED)", {TIMESTAMPTZOID, TIMESTAMPTZOID, INT8OID}};
struct LeaseRow {
    enum Column { token = 1, worker, jobs, locked_at };
};

// token → as kStaleLeases, for the lease of a tick that ends it itself
const pg::Statement kLockLease{pg::Plan::pinned,
    "SELECT lock_token, worker_id, job_ids, locked_at FROM @job_leases WHERE lock_token = $1 FOR UPDATE", {INT8OID}};

// token, ids, how many → id, out of attempts?, load test?, tenant, concurrency key, run, place. Locks the jobs,
// and passes over those that another transaction is finishing
const pg::Statement kJobsOfLease{pg::Plan::pinned, R"(
SELECT j.id, j.attempts >= j.max_attempts, j.job_type = 'load_test', j.tenant_id, j.concurrency_key, j.run_id,
       )" FAIRQ_PLACE("coalesce(position, running_position)") R"(
  FROM unnest($2) AS a (id) JOIN @job_live j ON j.id = a.id AND j.lock_token = $1
 ORDER BY a.id LIMIT $3 FOR UPDATE OF j SKIP LOCKED)", {INT8OID, INT8ARRAYOID, INT4OID}};
struct HeldJobRow {
    enum Column { id = 1, out_of_attempts, load_test, tenant, concurrency_key, run, place };
};

// ids, error, now → id
const pg::Statement kPutBack{pg::Plan::pinned, R"(
UPDATE @job_live j
   SET status = 'queued', locked_by = NULL, locked_at = NULL, lock_token = NULL, held_key = NULL, running_since = NULL,
       position = coalesce(position, running_position), running_position = NULL,
       last_error = $2, updated_at = $3
  FROM unnest($1) AS a (id) WHERE j.id = a.id
RETURNING j.id)", {INT8ARRAYOID, TEXTOID, TIMESTAMPTZOID}};

// token, ids: deletes the lease, unless it still holds a job
const pg::Statement kEndLease{pg::Plan::pinned, R"(
DELETE FROM @job_leases
 WHERE lock_token = $1
   AND NOT EXISTS (SELECT FROM unnest($2) AS a (id) JOIN @job_live j ON j.id = a.id AND j.lock_token = $1))", {INT8OID, INT8ARRAYOID}};

// stale before, behind which (locked at, token), how many, tenants → token, locked at, are all its jobs of these
// tenants? A row for each of the next leases; locks nothing
const pg::Statement kStaleLeasesOfTenants{pg::Plan::pinned, R"(
SELECT l.lock_token, l.locked_at,
       NOT EXISTS (SELECT FROM unnest(l.job_ids) AS a (id) JOIN @job_live j ON j.id = a.id AND j.lock_token = l.lock_token
                    WHERE j.tenant_id <> ALL ($5))
  FROM (SELECT lock_token, job_ids, locked_at FROM @job_leases
         WHERE locked_at < $1 AND heartbeat_at < $1 AND (locked_at, lock_token) > ($2, $3)
         ORDER BY locked_at, lock_token LIMIT $4) AS l
 ORDER BY l.locked_at, l.lock_token)", {TIMESTAMPTZOID, TIMESTAMPTZOID, INT8OID, INT4OID, TEXTARRAYOID}};
struct StaleLeaseRow {
    enum Column { token = 1, locked_at, all_theirs };
};

// token, stale before → as kStaleLeases, for this lease if it is still stale
const pg::Statement kLockStaleLease{pg::Plan::pinned, R"(
SELECT lock_token, worker_id, job_ids, locked_at FROM @job_leases
 WHERE lock_token = $1 AND heartbeat_at < $2 FOR UPDATE SKIP LOCKED)", {INT8OID, TIMESTAMPTZOID}};

// clang-format on

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
        leases.push_back({rows.int64_at(row, LeaseRow::token), rows.text_at(row, LeaseRow::worker),
                          rows.int64s_at(row, LeaseRow::jobs), rows.time_at(row, LeaseRow::locked_at)});
    return leases;
}

struct HeldJob {
    int64 id;
    bool out_of_attempts, load_test;
    int64 run; // 0: none
    std::string tenant;
    std::optional<std::string> key; // concurrency key
    core::LaneKey place;
};

// Leaves out jobs without attempts whose run another transaction has locked: their death would fail the run, and a
// reclaim does not wait. The next sweep takes them.
void leave_busy_runs(std::vector<HeldJob> &jobs) {
    auto const may_fail = [](const HeldJob &job) { return job.out_of_attempts && job.run != 0; };
    Ids runs;
    for (HeldJob const &job : jobs)
        if (may_fail(job))
            runs.push_back(job.run);
    if (runs.empty())
        return;
    Ids const busy = busy_runs(runs);
    auto const waits = [&](const HeldJob &job) {
        return may_fail(job) && std::find(busy.begin(), busy.end(), job.run) != busy.end();
    };
    jobs.erase(std::remove_if(jobs.begin(), jobs.end(), waits), jobs.end());
}

std::vector<HeldJob> lock_jobs(const Lease &lease, int most) {
    pg::Rows const rows =
        pg::execute(kJobsOfLease, {pg::of(lease.token), pg::of(lease.jobs), pg::of(int32{most})});
    std::vector<HeldJob> jobs;
    for (size_t row = 0; row < rows.size(); ++row)
        jobs.push_back({rows.int64_at(row, HeldJobRow::id), rows.bool_at(row, HeldJobRow::out_of_attempts),
                        rows.bool_at(row, HeldJobRow::load_test),
                        rows.is_null(row, HeldJobRow::run) ? 0 : rows.int64_at(row, HeldJobRow::run),
                        rows.text_at(row, HeldJobRow::tenant),
                        rows.is_null(row, HeldJobRow::concurrency_key)
                            ? std::nullopt
                            : std::optional(rows.text_at(row, HeldJobRow::concurrency_key)),
                        rows.int64_at(row, HeldJobRow::place)});
    leave_busy_runs(jobs);
    return jobs;
}

struct Part {
    Ids ids;
    int64 load_test = 0;
};

Part part_of(const std::vector<HeldJob> &jobs, bool out_of_attempts) {
    Part part;
    for (HeldJob const &job : jobs)
        if (job.out_of_attempts == out_of_attempts) {
            part.ids.push_back(job.id);
            part.load_test += job.load_test ? 1 : 0;
        }
    return part;
}

// Puts jobs back, and ends those without attempts. Returns the jobs that it moved: a user's trigger may have kept
// the rest as they are.
std::vector<HeldJob> move(std::vector<HeldJob> jobs, std::string_view error) {
    pg::Value const text = pg::of(error);
    Ids const again = part_of(jobs, false).ids, dead = part_of(jobs, true).ids;
    Ids moved;
    if (!again.empty())
        moved = ids_in(pg::execute(kPutBack, {pg::of(again), text, pg::of_time(pg::now())}));
    if (!dead.empty()) {
        Ids const ended = move_rows_to_history(dead, JobStatus::dead, text);
        moved.insert(moved.end(), ended.begin(), ended.end());
    }
    std::sort(moved.begin(), moved.end());
    auto const stays = [&](const HeldJob &job) {
        return !std::binary_search(moved.begin(), moved.end(), job.id);
    };
    jobs.erase(std::remove_if(jobs.begin(), jobs.end(), stays), jobs.end());
    return jobs;
}

struct Outcome {
    int64 jobs; // put back, or dead
    bool ended; // the lease
};

// Puts back up to `most` jobs of a locked lease, and deletes the lease if it holds no more jobs.
Outcome put_back(const Lease &lease, int most) {
    std::vector<HeldJob> const jobs =
        move(lock_jobs(lease, most), "the lease of worker \"" + lease.worker + "\" ended before the job did");
    Part const again = part_of(jobs, false), dead = part_of(jobs, true);
    pg::execute(kEndLease, {pg::of(lease.token), pg::of(lease.jobs)});
    bool const ended = SPI_processed > 0;
    pending_moved(again.ids, +1);
    count_move(JobStatus::locked, JobStatus::queued, static_cast<int64>(again.ids.size()), again.load_test);
    count_move(JobStatus::locked, JobStatus::dead, static_cast<int64>(dead.ids.size()), dead.load_test);
    FreedKeys keys;
    for (HeldJob const &job : jobs) {
        if (!job.out_of_attempts) { // back in its lane, and claimable with its concurrency key
            lane_gained(job.tenant, 1, core::range_of(job.place));
            slot_freed_for_itself(job.tenant);
            continue;
        }
        slot_freed(job.tenant);
        if (job.key)
            keys.emplace_back(job.tenant, *job.key);
    }
    free_keys(std::move(keys));
    for (HeldJob const &job : jobs)
        if (job.out_of_attempts && job.run != 0)
            run_failed(job.run, job.id, JobStatus::dead);
    return {static_cast<int64>(jobs.size()), ended};
}

// The stale leases, oldest first, each returned once. Only one at a time is locked, so that other sessions can
// reclaim the rest.
class Stale {
public:
    explicit Stale(int64 stale_after)
        : before_(pg::now() - stale_after), behind_(tables::first_lease(pg::schema(), before_)) {}

    std::optional<Lease> next() {
        if (!behind_)
            return std::nullopt;
        pg::check_interrupts();
        std::vector<Lease> leases = leases_of(
            pg::execute(kStaleLeases, {pg::of_time(before_), pg::of_time(*behind_), pg::of(behind_token_)}));
        if (leases.empty())
            return std::nullopt;
        behind_ = leases.front().locked_at;
        behind_token_ = leases.front().token;
        return std::move(leases.front());
    }

private:
    TimestampTz before_;
    std::optional<TimestampTz> behind_; // none: there is no lease so old
    int64 behind_token_ = 0;
};

// Handles some of the stale leases. It passes over leases that hold a job of another tenant, without locking them.
// These stay, and may be many: so the session's next sweep goes on where this one stopped, and begins anew after the
// last lease. Returns whether the next sweep is due at once.
bool sweep_for(const std::vector<std::string> &tenants, TimestampTz before) {
    static struct {
        TimestampTz locked_at;
        int64 token;
    } last = {DT_NOBEGIN, 0};
    std::optional<TimestampTz> const first = tables::first_lease(pg::schema(), before);
    if (!first)
        return false;
    if (last.locked_at < *first)
        last = {*first, 0};
    pg::Rows const rows = pg::execute(kStaleLeasesOfTenants,
                                      {pg::of_time(before), pg::of_time(last.locked_at), pg::of(last.token),
                                       pg::of(int32{kLeasesPerSweep}), array_of(&tenants)});
    bool any_ended = false, put_any_back = false;
    size_t row = 0;
    for (; row < rows.size() && !put_any_back; ++row) {
        pg::check_interrupts();
        last = {rows.time_at(row, StaleLeaseRow::locked_at), rows.int64_at(row, StaleLeaseRow::token)};
        if (!rows.bool_at(row, StaleLeaseRow::all_theirs))
            continue;
        for (Lease const &lease :
             leases_of(pg::execute(kLockStaleLease, {pg::of(last.token), pg::of_time(before)}))) {
            Outcome const outcome = put_back(lease, kEverything);
            put_any_back = outcome.jobs > 0;
            any_ended = any_ended || outcome.ended;
        }
    }
    bool const all = row == rows.size() && rows.size() < kLeasesPerSweep;
    if (all)
        last = {DT_NOBEGIN, 0};
    return any_ended && !all && !put_any_back;
}

} // namespace

// A lease that was there and did not change has perhaps ended meanwhile: then the second try does not find it. If it
// does, a trigger has kept the row as it was.
int32 beat(const std::function<pg::Rows()> &statement) {
    return pg::with_spi([&] {
        pg::Rows beat = statement();
        if (beat.bool_at(0, Beat::swallowed))
            beat = statement();
        if (beat.bool_at(0, Beat::swallowed))
            pg::raise_row_swallowed("job_leases");
        return beat.int32_at(0, Beat::jobs);
    });
}

int32 heartbeat(int64 lock_token) {
    return beat([&] { return pg::execute(kHeartbeat, {pg::of(lock_token), pg::of_time(pg::now())}); });
}

int64 reclaim(int64 stale_after, int max_jobs) {
    return pg::with_spi([&] {
        Stale stale(stale_after);
        int64 reclaimed = 0;
        while (reclaimed < max_jobs) {
            std::optional<Lease> const lease = stale.next();
            if (!lease)
                break;
            reclaimed += put_back(*lease, max_jobs - static_cast<int>(reclaimed)).jobs;
        }
        return reclaimed;
    });
}

// If there are more ended leases than one sweep handles, the next sweep is due at once: a worker that completes its
// jobs one by one leaves a lease for each claim.
void sweep(int64 stale_after, OnlyTenants only) {
    pg::with_spi([&] {
        if (only) {
            if (sweep_for(*only, pg::now() - stale_after))
                shared::queue_state::hasten_housekeeping(tables::live_table_oid(pg::schema()));
            return;
        }
        Stale stale(stale_after);
        bool any_ended = false;
        for (int i = 0; i < kLeasesPerSweep; ++i) {
            std::optional<Lease> const lease = stale.next();
            Outcome const outcome = lease ? put_back(*lease, kEverything) : Outcome{};
            if (!lease || outcome.jobs > 0)
                return;
            any_ended = any_ended || outcome.ended;
        }
        if (any_ended)
            shared::queue_state::hasten_housekeeping(tables::live_table_oid(pg::schema()));
    });
}

int64 reclaim_lease(int64 lock_token) {
    return pg::with_spi([&] {
        int64 reclaimed = 0;
        for (Lease const &lease : leases_of(pg::execute(kLockLease, {pg::of(lock_token)})))
            reclaimed += put_back(lease, kEverything).jobs;
        return reclaimed;
    });
}

} // namespace fairq::queue
