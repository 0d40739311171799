// The claim. One call gives up to max_jobs jobs, shared between the tenants that have claimable work, by their weights
// and within their limits. Its cost depends on max_jobs, not on how many jobs or tenants there are; division.cpp and
// housekeeping.cpp have the bounds of what it may do beside.
#include "pg/table_cache.hpp"
#include "queue/division.hpp"
#include "queue/failures.hpp"
#include "queue/limits.hpp"
#include "queue/rescan.hpp"
#include "queue/wait.hpp"
#include "shared/waiters/waiters.hpp"
#include "tables/claimed_rows.hpp"
#include "tables/leases.hpp"
#include "tables/low_water_mark.hpp"
#include "tables/open_relation.hpp"

namespace fairq::queue {

namespace {

// SQL is laid out by hand.
// clang-format off

// token, worker, now, ids: for a job_leases that is not as the script made it
const pg::Statement kInsertLease{pg::Plan::pinned, R"(
INSERT INTO @job_leases (lock_token, worker_id, locked_at, heartbeat_at, job_ids) VALUES ($1, $2, $3, $3, $4))", {INT8OID, TEXTOID, TIMESTAMPTZOID, INT8ARRAYOID}};

// ids, worker, now, token, those of them that count for a cap: the claim by the executor, for a job_live
// that is not as the script made it
const pg::Statement kClaimByExecutor{pg::Plan::pinned, R"(
UPDATE @job_live j
   SET status = 'locked', attempts = attempts + 1, locked_by = $2, locked_at = $3, lock_token = $4, updated_at = $3,
       held_key = concurrency_key, running_since = CASE WHEN c.capped THEN $3 END,
       position = CASE WHEN NOT c.capped THEN position END, running_position = CASE WHEN c.capped THEN position END
  FROM unnest($1) AS a (id) CROSS JOIN LATERAL (SELECT a.id = ANY ($5)) AS c (capped)
 WHERE j.id = a.id AND j.status = 'queued'
RETURNING j.*)", {INT8ARRAYOID, TEXTOID, TIMESTAMPTZOID, INT8OID, INT8ARRAYOID}};
struct ClaimedRow { // of job_live
    enum Column { id = 1 };
};

// ids, token, tenants: for a cap that was committed while this claim was under way
const pg::Statement kMarkOwn{pg::Plan::pinned, R"(
UPDATE @job_live j SET running_since = locked_at
  FROM unnest($1) AS a (id)
 WHERE j.id = a.id AND j.lock_token = $2 AND j.running_since IS NULL AND j.tenant_id = ANY ($3))", {INT8ARRAYOID, INT8OID, TEXTARRAYOID}};

// ids that this transaction has locked, anything to pass over?, now
const pg::Statement kPark{pg::Plan::pinned, R"(
UPDATE @job_live j SET parked_position = j.position, position = NULL
  FROM unnest($1) AS a (id)
 WHERE j.id = a.id AND j.status = 'queued' AND j.position IS NOT NULL
   AND )" FAIRQ_NOT_PASSED_OVER("job", "j.id", "$2", "$3"), {INT8ARRAYOID, BOOLOID, TIMESTAMPTZOID}};

// clang-format on

// The tenant at which this queue's last claim stopped. If shared memory does not remember it, this session's last
// claim counts; if there was none, a random tenant.
class Rotation {
public:
    Rotation(Oid table, std::string_view queue) : table_(table), queue_(queue) {}

    std::string start(tables::LiveTable &table) const {
        if (std::optional<std::string> shared = shared::queue_state::rotation(table_, queue_))
            return *shared;
        if (own_table == table_ && std::string_view(own_queue, own_queue_length) == queue_)
            return std::string(own_tenant, own_length);
        std::optional<std::string> const first = table.next_lane(""), last = table.last_lane();
        return first && last ? core::between(*first, *last, pg::random_bits()) : std::string();
    }

    void stop(const std::string &tenant) const {
        shared::queue_state::set_rotation(table_, queue_, tenant);
        own_table = table_;
        own_queue_length = queue_.copy(own_queue, sizeof own_queue);
        own_length = tenant.copy(own_tenant, sizeof own_tenant);
    }

private:
    Oid table_;
    std::string_view queue_;
    inline static Oid own_table = InvalidOid;
    inline static size_t own_queue_length = 0, own_length = 0;
    inline static char own_queue[core::kMaxQueueBytes + 1] = "", own_tenant[core::kMaxNameBytes + 1] = "";
};

Ids ids_of(const Claim &claim) {
    Ids ids(claim.jobs.size());
    std::transform(claim.jobs.begin(), claim.jobs.end(), ids.begin(), [](const auto &job) { return job.id; });
    std::sort(ids.begin(), ids.end());
    return ids;
}

// How the rows of a claim are updated. together: below SQL, or by one statement, and an error is the call's. apart: by
// statements that are repeated for a part of the jobs after an error, until those that are refused stand alone; they are
// noted, and claims pass over them for a time.
enum class Updated { together, apart };

// The slow way to the same result: the executor updates the locked rows, with triggers, rules and row security.
// Returns the jobs that it has updated.
Ids update_by_executor(const ClaimRequest &request, const tables::ClaimStamp &stamp, const Ids &jobs,
                       const Ids &capped) {
    pg::Rows const rows =
        pg::execute(kClaimByExecutor, {pg::of(jobs), pg::of(stamp.worker), pg::of_time(stamp.at),
                                       pg::of(stamp.lock_token), pg::of(capped)});
    for (size_t row = 0; request.rows && row < rows.size(); ++row)
        rows.put(row, request.rows);
    return ids_in(rows);
}

// A trigger that keeps a row from being updated keeps its job from being claimed, and so does an error. Returns whether
// there was one.
bool update_rows(const ClaimRequest &request, const tables::ClaimStamp &stamp, Updated how, Claim &claim) {
    Ids capped, updated;
    for (auto const &job : claim.jobs)
        if (claim.capped[static_cast<size_t>(job.lane)])
            capped.push_back(job.id);
    auto const update = [&](const Ids &jobs) {
        Ids const some = update_by_executor(request, stamp, jobs, capped);
        updated.insert(updated.end(), some.begin(), some.end());
        return static_cast<int64>(some.size());
    };
    core::Budget budget = budget_of_caller(INT32_MAX);
    Apart apart(Chore::claim, Subject::job, budget);
    if (how == Updated::together)
        update(ids_of(claim));
    else
        apart.run(ids_of(claim), update, same);
    std::sort(updated.begin(), updated.end());
    auto const refused = [&](const auto &job) {
        bool const kept_back = !std::binary_search(updated.begin(), updated.end(), job.id);
        if (kept_back)
            lane_filled({request.queue, claim.lanes[static_cast<size_t>(job.lane)]});
        return kept_back;
    };
    claim.jobs.erase(std::remove_if(claim.jobs.begin(), claim.jobs.end(), refused), claim.jobs.end());
    return apart.error().has_value();
}

Ids runs_of(const Claim &claim) {
    Ids runs;
    for (tables::ClaimedJob const &job : claim.jobs)
        if (job.run != 0)
            runs.push_back(job.run);
    std::sort(runs.begin(), runs.end());
    runs.erase(std::unique(runs.begin(), runs.end()), runs.end());
    return runs;
}

void record(const tables::ClaimStamp &stamp, const Claim &claim) {
    Ids const ids = ids_of(claim);
    if (!tables::insert_lease(pg::schema(), stamp, ids))
        pg::execute_all(kInsertLease, "job_leases", 1,
                        {pg::of(stamp.lock_token), pg::of(stamp.worker), pg::of_time(stamp.at), pg::of(ids)});
    pending_claimed(claim);
    auto const load_test =
        std::count_if(claim.jobs.begin(), claim.jobs.end(), [](auto &job) { return job.load_test; });
    count_move(JobStatus::queued, JobStatus::locked, static_cast<int64>(claim.jobs.size()), load_test);
    Ids from_lane(claim.lanes.size());
    for (auto const &job : claim.jobs)
        ++from_lane[static_cast<size_t>(job.lane)];
    for (size_t lane = 0; lane < claim.lanes.size(); ++lane)
        lane_lost({stamp.queue, claim.lanes[lane]}, from_lane[lane]);
    if (Ids const runs = runs_of(claim); !runs.empty())
        runs_started(runs);
}

// While this claim was under way, a tenant without a cap may have got one: then the next count of its running
// jobs has to include the jobs of this claim. (A cap that is committed later: see tenant_limits.cap_pending_since.)
void mark_newly_capped(const tables::ClaimStamp &stamp, const Claim &claim) {
    std::vector<std::string_view> tenants;
    for (size_t lane = 0; lane < claim.lanes.size(); ++lane)
        if (!claim.capped[lane] && limits_of(claim.lanes[lane]).max_concurrency)
            tenants.push_back(claim.lanes[lane]);
    if (!tenants.empty())
        pg::execute(kMarkOwn, {pg::of(ids_of(claim)), pg::of(stamp.lock_token), pg::of(tenants)});
}

core::JobTypes types_of(const ClaimRequest &request) {
    core::JobTypes types = request.types;
    types.pause(paused_types());
    return types;
}

// Returns whether all are parked now. One that cannot be parked stays in the way, and fails no claim.
bool park(const Ids &jobs) {
    core::Budget budget = budget_of_call(INT32_MAX);
    int64 const parked =
        Apart(Chore::park, Subject::job, budget)
            .run(
                jobs,
                [](const Ids &some) {
                    return static_cast<int64>(
                        pg::execute(kPark, {pg::of(some), pg::of(any_failures()), pg::of_time(pg::now())})
                            .size());
                },
                same);
    return parked == static_cast<int64>(jobs.size());
}

// What an attempt reads with.
struct Reading {
    Oid queue;
    TimestampTz at;
    const shared::ring::Ring &ring;
    tables::LiveTable &table;
    LimitCheck &limit_check;
};

// Takes jobs from the lanes that the ring draws. As long as the ring does not know all lanes, and when another queue got
// its place meanwhile, the lanes come from a walk over the lane index.
void take(const ClaimRequest &request, const Reading &reading, Claim &claim) {
    auto const &[queue, at, ring, table, limit_check] = reading;
    if (request.only_tenants != nullptr) {
        WalkedLanes lanes(ring, Walk(*request.only_tenants));
        divide(request, table, limit_check, lanes, claim);
        return;
    }
    if (ring.complete()) {
        RingLanes lanes(ring, at);
        divide(request, table, limit_check, lanes, claim);
        if (!claim.jobs.empty() || !ring.is_lost())
            return;
    }
    Rotation const rotation(queue, request.queue);
    WalkedLanes lanes(ring, Walk(table, rotation.start(table), core::kLanesPerJob * request.max_jobs));
    divide(request, table, limit_check, lanes, claim);
    rotation.stop(lanes.stopped_at());
}

// Returns true when the claim got no job and parked as many as it may, or was refused all: there may be claimable jobs
// behind them, try again.
// No step is repeated or undone here: when one fails, the transaction (or the savepoint) that rolls back does it all.
bool attempt(const ClaimRequest &request, const tables::ClaimStamp &stamp, Updated how, Claim &claim) {
    // First the ring: its constructor waits for a claim slot, and reads the ring's clock. A lane that enters the ring after
    // this moment stays in it, whatever this claim's older snapshot shows (Ring::settle).
    Oid const queue = tables::live_table_oid(pg::schema());
    shared::ring::Ring const ring(queue, request.queue);

    // Then what is read about types and tenants: a change of a rule is either seen here or ends the hold (core/holds.hpp).
    core::JobTypes const types = types_of(request);
    tables::LimitLookups lookups(pg::schema());
    tables::KeyLocks keys(queue, lookups);
    LimitCheck limit_check(lookups, queue, stamp.at);

    Ids const refused = refused_claims();

    // Last the snapshot of the jobs, which stays the active one until table.finish().
    tables::LiveTable table(pg::schema(), stamp, types, keys, request.rows);
    table.pass_over(refused);
    if (how == Updated::apart)
        table.leave_to_caller();
    take(request, {queue, stamp.at, ring, table, limit_check}, claim);

    // The next claim may draw while this one looks after a lane of the index and writes.
    shared::ring::release_claim_slot();
    if (ring.available())
        rescan(ring, table, limit_check);

    bool const updated = table.direct(), parked_instead = claim.jobs.empty() && table.parks_all_it_may();
    Ids const to_park = table.to_park();
    claim.needs_durable_commit = claim.needs_durable_commit || !updated || keys.any();
    claim.opens_at = std::min({claim.opens_at, limit_check.opens_at(), ring.next_opening()});
    claim.parked += static_cast<int>(to_park.size());

    // Statements need the tables closed and the rows that were written visible: finish() makes the next command begin.
    table.finish();
    lookups.finish();
    bool all_parked = true, refused_instead = false;
    pg::with_spi([&] {
        // The executor may refuse jobs: these leave the claim before it writes its lease.
        if (!updated && !claim.jobs.empty())
            refused_instead = update_rows(request, stamp, how, claim) && claim.jobs.empty();
        if (!to_park.empty())
            all_parked = park(to_park);
        limit_check.charge();
        if (claim.jobs.empty())
            return;
        record(stamp, claim);
        mark_newly_capped(stamp, claim); // last: it sees each cap that was committed until now
    });
    return (parked_instead && all_parked) || refused_instead;
}

// Where something of a user's may refuse a job, an error undoes the attempt only, and in the next one it keeps nobody's
// job from being claimed but the one that is refused. All others pay for no subtransaction.
bool attempt(const ClaimRequest &request, const tables::ClaimStamp &stamp, Claim &claim) {
    if (!tables::may_be_refused(pg::schema()))
        return attempt(request, stamp, Updated::together, claim);
    Claim const before = claim;
    bool again = false;
    auto const error =
        pg::try_subtransaction([&] { again = attempt(request, stamp, Updated::together, claim); });
    if (!error)
        return again;
    if (!pg::may_be_of_one_row(*error))
        pg::raise_copied(*error);
    claim = before;
    if (request.rows)
        pg::call([&] { tuplestore_clear(request.rows->setResult); });
    return attempt(request, stamp, Updated::apart, claim);
}

} // namespace

Claim claim(const ClaimRequest &request) {
    if (IsolationUsesXactSnapshot())
        pg::raise_isolation_level();
    pg::refuse_read_only("claim_queued_jobs()");
    // This lock keeps DROP EXTENSION out until the transaction ends, so that names keep their meaning.
    tables::lock_relation(pg::schema(), "job_live", RowExclusiveLock);
    shared::waiters::News const news =
        shared::waiters::news(tables::live_table_oid(pg::schema()), request.queue);
    bool const swept = housekeeping({request.max_jobs, request.only_tenants}).swept;
    shared::ring::activate_own();
    tables::ClaimStamp const stamp{request.queue, request.worker, pg::random_token(), pg::now()};
    Claim claim;
    claim.lock_token = stamp.lock_token;
    int64 const began =
        pg::monotonic_now(); // to park jobs is housekeeping, too: the next claim goes on with it
    while (attempt(request, stamp, claim)) {
        claim.lanes.clear(), claim.capped.clear();
        if (pg::monotonic_now() - began > pg::settings::housekeeping_time()) {
            claim.stopped = true;
            break;
        }
    }
    tables::claimed_rows::remember(tables::live_table_oid(pg::schema()), claim.lock_token, claim.jobs);
    claim_seen(request, claim, news);
    if (swept || static_cast<int>(claim.jobs.size()) < request.max_jobs)
        claim.needs_durable_commit =
            advance_runs(core::kRunStep, request.only_tenants) || claim.needs_durable_commit;
    return claim;
}

} // namespace fairq::queue
