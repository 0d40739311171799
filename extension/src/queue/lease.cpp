// Leases: heartbeats, and what becomes of the jobs of a lease whose worker is gone. A job goes back to its place, without
// back-off; a job without attempts left is dead, so a job that kills its workers does not run for ever. A job that
// another transaction is finishing is passed over. Only reclaim_lease() and a heartbeat wait, for the row of their own
// lease. sweep.cpp finds the leases.
#include "queue/lease.hpp"

#include "queue/limits.hpp"
#include "queue/wait.hpp"

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

// token → as kStaleLeases in sweep.cpp, for the lease of a tick that ends it itself
const pg::Statement kLockLease{pg::Plan::pinned,
    "SELECT lock_token, worker_id, job_ids, locked_at FROM @job_leases WHERE lock_token = $1 FOR UPDATE", {INT8OID}};

// tokens, ids and numbers of leases, side by side; behind which of them, how many, anything to pass over?, now → id, out of
// attempts?, load test?, tenant, concurrency key, run, place, number of the lease, size of the payload, which of them, queue. Locks the jobs,
// and passes over those that another transaction is finishing
const pg::Statement kJobsOfLeases{pg::Plan::pinned, R"(
SELECT j.id, j.attempts >= j.max_attempts, j.job_type = 'load_test', j.tenant_id, j.concurrency_key, j.run_id,
       )" FAIRQ_PLACE("coalesce(position, running_position)") R"(, a.lease, pg_column_size(j.payload), a.n, j.queue
  FROM unnest($1, $2, $3) WITH ORDINALITY AS a (token, id, lease, n) JOIN @job_live j ON j.id = a.id AND j.lock_token = a.token
 WHERE a.n > $4 AND )" FAIRQ_NOT_PASSED_OVER("job", "j.id", "$6", "$7") R"(
 ORDER BY a.n LIMIT $5 FOR UPDATE OF j SKIP LOCKED)", {INT8ARRAYOID, INT8ARRAYOID, INT8ARRAYOID, INT8OID, INT4OID, BOOLOID, TIMESTAMPTZOID}};
struct HeldJobRow {
    enum Column { id = 1, out_of_attempts, load_test, tenant, concurrency_key, run, place, lease, payload, number, queue };
};

// ids, errors, now → id
const pg::Statement kPutBack{pg::Plan::pinned, R"(
UPDATE @job_live j
   SET status = 'queued', locked_by = NULL, locked_at = NULL, lock_token = NULL, held_key = NULL, running_since = NULL,
       position = coalesce(position, running_position), running_position = NULL,
       last_error = a.error, updated_at = $3
  FROM unnest($1, $2) AS a (id, error) WHERE j.id = a.id
RETURNING j.id)", {INT8ARRAYOID, TEXTARRAYOID, TIMESTAMPTZOID}};

// tokens: deletes the leases that hold no job any more
const pg::Statement kEndLeases{pg::Plan::pinned, R"(
DELETE FROM @job_leases l USING unnest($1) AS t (token)
 WHERE l.lock_token = t.token
   AND NOT EXISTS (SELECT FROM unnest(l.job_ids) AS a (id) JOIN @job_live j ON j.id = a.id AND j.lock_token = l.lock_token))", {INT8ARRAYOID}};

// clang-format on

constexpr size_t kIdsAtOnce = 500;           // of leases, most of whose jobs may have ended
constexpr int64 kPayloadsAtOnce = 64 * 1024; // bytes that go to history in one chunk

struct HeldJob {
    int64 id;
    bool out_of_attempts, load_test;
    int64 run; // 0: none
    std::string tenant;
    std::optional<std::string> key; // concurrency key
    core::LaneKey place;
    size_t lease;
    int64 payload; // bytes, as stored
    std::string queue;
    core::LaneName lane() const { return {queue, tenant}; }
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

HeldJob held_job_in(const pg::Rows &rows, size_t row) {
    return {rows.int64_at(row, HeldJobRow::id),
            rows.bool_at(row, HeldJobRow::out_of_attempts),
            rows.bool_at(row, HeldJobRow::load_test),
            rows.is_null(row, HeldJobRow::run) ? 0 : rows.int64_at(row, HeldJobRow::run),
            rows.text_at(row, HeldJobRow::tenant),
            rows.is_null(row, HeldJobRow::concurrency_key)
                ? std::nullopt
                : std::optional(rows.text_at(row, HeldJobRow::concurrency_key)),
            rows.int64_at(row, HeldJobRow::place),
            static_cast<size_t>(rows.int64_at(row, HeldJobRow::lease)),
            rows.int32_at(row, HeldJobRow::payload),
            rows.text_at(row, HeldJobRow::queue)};
}

// The jobs of some leases, in parts that can be moved at once.
class HeldJobs {
public:
    HeldJobs(const std::vector<Lease> &leases, Noted noted) : leases_(leases), noted_(noted) {}

    // Locks up to `most` jobs; none are left when it returns none and is at the end.
    std::vector<HeldJob> next(int most) {
        if (ids_.empty())
            fill();
        pg::Value const any = pg::of(noted_ == Noted::passed_over && any_failures());
        pg::Rows const rows =
            pg::execute(kJobsOfLeases, {pg::of(tokens_), pg::of(ids_), pg::of(numbers_), pg::of(behind_),
                                        pg::of(int32{most}), any, pg::of_time(pg::now())});
        std::vector<HeldJob> jobs;
        for (size_t row = 0; row < rows.size(); ++row)
            jobs.push_back(held_job_in(rows, row));
        if (jobs.size() < static_cast<size_t>(most))
            tokens_.clear(), ids_.clear(), numbers_.clear();
        else
            behind_ = rows.int64_at(rows.size() - 1, HeldJobRow::number);
        leave_busy_runs(jobs);
        return jobs;
    }
    bool at_end() const { return ids_.empty() && lease_ == leases_.size(); }

private:
    void fill() {
        behind_ = 0;
        while (lease_ < leases_.size() && ids_.size() < kIdsAtOnce) {
            Ids const &jobs = leases_[lease_].jobs;
            for (; job_ < jobs.size() && ids_.size() < kIdsAtOnce; ++job_) {
                tokens_.push_back(leases_[lease_].token);
                ids_.push_back(jobs[job_]);
                numbers_.push_back(static_cast<int64>(lease_));
            }
            if (job_ == jobs.size())
                ++lease_, job_ = 0;
        }
    }

    const std::vector<Lease> &leases_;
    Noted noted_;
    size_t lease_ = 0, job_ = 0; // the first that is not in the part
    Ids tokens_, ids_, numbers_; // the part
    int64 behind_ = 0;
};

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

// What is moved at once: jobs with attempts left, whose payload stays where it is; and jobs that go to history, of one
// lease, as many as their payloads allow.
std::vector<std::vector<HeldJob>> chunks_of(std::vector<HeldJob> jobs) {
    std::vector<std::vector<HeldJob>> chunks(1);
    std::vector<HeldJob> dead;
    for (HeldJob &job : jobs)
        (job.out_of_attempts ? dead : chunks[0]).push_back(std::move(job));
    std::stable_sort(dead.begin(), dead.end(), [](auto &a, auto &b) { return a.lease < b.lease; });
    int64 bytes = 0;
    for (HeldJob &job : dead) {
        bytes += job.payload;
        if (chunks.size() == 1 || chunks.back()[0].lease != job.lease || bytes > kPayloadsAtOnce) {
            chunks.emplace_back();
            bytes = job.payload;
        }
        chunks.back().push_back(std::move(job));
    }
    return chunks;
}

std::string error_of(const Lease &lease) {
    return "the lease of worker \"" + lease.worker + "\" ended before the job did";
}

// Puts jobs back, and ends those without attempts. Returns the jobs that it moved: a user's trigger may have kept
// the rest as they are.
std::vector<HeldJob> move(std::vector<HeldJob> jobs, const std::vector<Lease> &leases) {
    std::vector<std::string> errors;
    for (HeldJob const &job : jobs)
        errors.push_back(error_of(leases[job.lease]));
    Ids const again = part_of(jobs, false).ids, dead = part_of(jobs, true).ids;
    Ids moved;
    if (!again.empty())
        moved = ids_in(pg::execute(
            kPutBack, {pg::of(again), pg::of(std::vector<std::string_view>(errors.begin(), errors.end())),
                       pg::of_time(pg::now())}));
    if (!dead.empty())
        moved = move_rows_to_history(dead, JobStatus::dead, pg::of(std::string_view(errors[0])));
    std::sort(moved.begin(), moved.end());
    auto const stays = [&](const HeldJob &job) {
        return !std::binary_search(moved.begin(), moved.end(), job.id);
    };
    jobs.erase(std::remove_if(jobs.begin(), jobs.end(), stays), jobs.end());
    return jobs;
}

// One chunk, with all that its jobs' moves mean for lanes, limits, keys and runs.
int64 put_back_chunk(const std::vector<HeldJob> &chunk, const std::vector<Lease> &leases) {
    std::vector<HeldJob> const jobs = move(chunk, leases);
    Part const again = part_of(jobs, false), dead = part_of(jobs, true);
    pending_moved(again.ids, +1);
    count_move(JobStatus::locked, JobStatus::queued, static_cast<int64>(again.ids.size()), again.load_test);
    count_move(JobStatus::locked, JobStatus::dead, static_cast<int64>(dead.ids.size()), dead.load_test);
    FreedKeys keys;
    for (HeldJob const &job : jobs) {
        if (!job.out_of_attempts) { // back in its lane, and claimable with its concurrency key
            lane_gained(job.lane(), 1, core::range_of(job.place));
            slot_freed_for_itself(job.lane());
            continue;
        }
        slot_freed(job.lane());
        if (job.key)
            keys.emplace_back(job.tenant, *job.key);
    }
    free_keys(std::move(keys));
    for (HeldJob const &job : jobs)
        if (job.out_of_attempts && job.run != 0)
            run_failed(job.run, job.id, JobStatus::dead);
    return static_cast<int64>(jobs.size());
}

} // namespace

std::vector<Lease> leases_of(const pg::Rows &rows) {
    std::vector<Lease> leases;
    for (size_t row = 0; row < rows.size(); ++row)
        leases.push_back({rows.int64_at(row, LeaseRow::token), rows.text_at(row, LeaseRow::worker),
                          rows.int64s_at(row, LeaseRow::jobs), rows.time_at(row, LeaseRow::locked_at)});
    return leases;
}

PutBack put_back(const std::vector<Lease> &leases, core::Budget &budget, Noted noted) {
    PutBack done;
    HeldJobs held(leases, noted);
    Apart apart(Chore::reclaim, Subject::job, budget);
    // One chunk in any case: a bound that is too small for a look must not keep all work from being done.
    do {
        pg::check_interrupts();
        int64 const began = pg::monotonic_now();
        int64 jobs = 0;
        for (std::vector<HeldJob> const &chunk : chunks_of(held.next(budget.chunk())))
            if (jobs > 0 && budget.spent(pg::monotonic_now()))
                done.left = true;
            else
                jobs += apart.run(
                    chunk, [&](auto const &some) { return put_back_chunk(some, leases); },
                    [](auto const &job) { return job.id; });
        budget.used(static_cast<int>(jobs), began, pg::monotonic_now());
        done.jobs += jobs;
    } while (!held.at_end() && !budget.spent(pg::monotonic_now()));
    done.left = done.left || !held.at_end();
    Ids tokens;
    for (Lease const &lease : leases)
        tokens.push_back(lease.token);
    done.ended = Apart(Chore::reclaim, Subject::lease, budget)
                     .run(
                         tokens,
                         [](const Ids &some) {
                             return static_cast<int64>(pg::execute(kEndLeases, {pg::of(some)}).size());
                         },
                         same);
    return done;
}

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

int64 reclaim_lease(int64 lock_token) {
    return pg::with_spi([&] {
        core::Budget budget = budget_of_caller(INT32_MAX, kFirstJobs);
        return put_back(leases_of(pg::execute(kLockLease, {pg::of(lock_token)})), budget, Noted::passed_over)
            .jobs;
    });
}

int64 reclaim_jobs(const Ids &job_ids, int64 lock_token) {
    return pg::with_spi([&] {
        core::Budget budget = budget_of_caller(INT32_MAX, kFirstJobs);
        std::vector<Lease> leases = leases_of(pg::execute(kLockLease, {pg::of(lock_token)}));
        for (Lease &lease : leases)
            lease.jobs = job_ids;
        return put_back(leases, budget, Noted::passed_over).jobs;
    });
}

} // namespace fairq::queue
