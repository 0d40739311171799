// What rides on claims, waits and ticks: due jobs are promoted, the jobs of stale leases go back, parked jobs whose key
// is free come back into their lanes, pipeline runs take their next step, and history gets its partitions. So a
// queue with external workers only needs no ticker. The rows that housekeeping moves stay locked until its transaction
// ends. A role that is bound to tenants may not hold up other tenants' jobs, so its claims do the housekeeping for its
// own tenants only.
#include "queue/internal.hpp"
#include "tables/low_water_mark.hpp"

namespace fairq::queue {

namespace {

// SQL is laid out by hand.
// clang-format off

// The rest of a promotion, for the jobs of its CTE "due"; $1: now.
#define FAIRQ_PROMOTE                                                                                        \
    "moved AS ("                                                                                             \
    "UPDATE @job_live j"                                                                                     \
    "   SET status = 'queued', due_at = NULL, position = nextval('@job_live_id_seq'), updated_at = $1"       \
    "  FROM due WHERE j.id = due.id "                                                                        \
    "RETURNING j.job_type, j.tenant_id, j.priority, " FAIRQ_PLACE(                                           \
        "j.position") " AS place) "                                                                          \
                      "SELECT 1, count(*), count(*) FILTER (WHERE job_type = 'load_test'), tenant_id, "      \
                      "min(place), max(place)"                                                               \
                      "  FROM moved GROUP BY tenant_id, priority"

// now, how many, from when on → a row for each tenant and priority: also its name, the first and the last place
const pg::Statement kPromote{pg::Plan::pinned, R"(
WITH due AS (
    SELECT id FROM @job_live WHERE due_at <= $1 AND due_at >= $3 ORDER BY due_at LIMIT $2 FOR NO KEY UPDATE SKIP LOCKED
), )" FAIRQ_PROMOTE, {TIMESTAMPTZOID, INT4OID, TIMESTAMPTZOID}};

// now, how many, from when on, tenants → as kPromote, for these tenants in a random order. The comparison of rows
// makes the planner use the index by tenant; by the index of all due jobs the claim would read the jobs of other
// tenants.
const pg::Statement kPromoteOfTenants{pg::Plan::pinned, R"(
WITH due AS (
    SELECT j.id
      FROM (SELECT tenant FROM unnest($4) AS a (tenant) ORDER BY random()) AS own,
           LATERAL (SELECT id FROM @job_live
                     WHERE (tenant_id, due_at) >= (own.tenant, $3) AND (tenant_id, due_at) <= (own.tenant, $1)
                       AND due_at IS NOT NULL
                     ORDER BY tenant_id, due_at LIMIT $2 FOR NO KEY UPDATE SKIP LOCKED) AS j
     LIMIT $2
), )" FAIRQ_PROMOTE, {TIMESTAMPTZOID, INT4OID, TIMESTAMPTZOID, TEXTARRAYOID}};

// clang-format on

constexpr int64 kSweepInterval = core::kSecond;

// True at most once in each interval: the session that gets it does the sweep. A role that is bound to tenants has a
// clock of its own: its sweep leaves out other tenants, whose own sweeps it
// must not delay.
bool sweep_is_due(OnlyTenants only) {
    return only ? shared::queue_state::own_housekeeping_is_due(pg::now(), kSweepInterval)
                : shared::queue_state::housekeeping_is_due(tables::live_table_oid(pg::schema()), pg::now(),
                                                           kSweepInterval);
}

} // namespace

// All entries before the first due job are dead, for every tenant: so it is a lower bound for these tenants, too.
int64 promote(int max_jobs, OnlyTenants only) {
    TimestampTz const now = pg::now();
    std::optional<TimestampTz> const from = tables::first_due_job(pg::schema(), now);
    if (!from)
        return 0;
    return pg::with_spi([&] {
        pg::Value const at = pg::of_time(now), most = pg::of(int32{max_jobs}), since = pg::of_time(*from);
        return count_into_lanes(only ? pg::execute(kPromoteOfTenants, {at, most, since, array_of(only)})
                                     : pg::execute(kPromote, {at, most, since}));
    });
}

Housekept housekeeping(const HousekeepingRequest &request, const AroundStep &around) {
    Housekept done;
    around([&] { done.promoted = promote(request.max_jobs, request.only_tenants); });
    if (request.in_bulk) {
        around([] { reclaim(pg::settings::lease_timeout(), core::kMaxJobsPerCall); });
        around([] { advance_runs(core::kRunStep); });
        around([] { make_partitions(); });
        return done;
    }
    done.swept = sweep_is_due(request.only_tenants);
    if (done.swept) {
        around([&] { sweep(pg::settings::lease_timeout(), request.only_tenants); });
        around([&] { unpark(request.only_tenants); });
        around([] { keep_partitions_ahead(); });
    }
    return done;
}

} // namespace fairq::queue
