// What rides on claims, waits and ticks: due jobs are promoted, the jobs of stale leases go back, parked jobs whose key
// is free come back into their lanes, pipeline runs take their next step, and history gets its partitions. So a
// queue with external workers only needs no ticker. Nothing of it fails the call that it rides on, or holds it up: each
// step has bounds (budget_of_call), and what fails is rolled back by itself, noted and passed over (failures.hpp). Its
// pace follows the need: a step that leaves work makes the next one due at once. The rows that housekeeping moves stay
// locked until its transaction ends. A role that is bound to tenants may not hold up other tenants' jobs, so its claims
// do the housekeeping for its own tenants only.
#include "queue/lease.hpp"
#include "tables/low_water_mark.hpp"

namespace fairq::queue {

namespace {

// SQL is laid out by hand.
// clang-format off

// now, how many, from when on, anything to pass over? → due jobs
#define FAIRQ_DUE                                                                                            \
    "SELECT id FROM @job_live WHERE due_at <= $1 AND due_at >= $3 AND "                                      \
    FAIRQ_NOT_PASSED_OVER("job", "job_live.id", "$4", "$1")                                                  \
    " ORDER BY due_at LIMIT $2 FOR NO KEY UPDATE SKIP LOCKED"

// now, how many, from when on, anything to pass over?, tenants → due jobs of these tenants in a random order. The
// comparison of rows makes the planner use the index by tenant; by the index of all due jobs the claim would read the
// jobs of other tenants.
#define FAIRQ_DUE_OF_TENANTS                                                                                 \
    "SELECT j.id"                                                                                            \
    "  FROM (SELECT tenant FROM unnest($5) AS a (tenant) ORDER BY random()) AS own,"                         \
    "       LATERAL (SELECT id FROM @job_live"                                                               \
    "                 WHERE (tenant_id, due_at) >= (own.tenant, $3) AND (tenant_id, due_at) <= (own.tenant, $1)" \
    "                   AND due_at IS NOT NULL AND "                                                         \
    FAIRQ_NOT_PASSED_OVER("job", "job_live.id", "$4", "$1")                                                  \
    "                 ORDER BY tenant_id, due_at LIMIT $2 FOR NO KEY UPDATE SKIP LOCKED) AS j"               \
    " LIMIT $2"

// The rest of a promotion, for the jobs of its CTE "due"; $1: now.
#define FAIRQ_PROMOTE                                                                                        \
    "moved AS ("                                                                                             \
    "UPDATE @job_live j"                                                                                     \
    "   SET status = 'queued', due_at = NULL, position = nextval('@job_live_id_seq'), updated_at = $1"       \
    "  FROM due WHERE j.id = due.id "                                                                        \
    "RETURNING j.job_type, j.queue, j.tenant_id, j.priority, " FAIRQ_PLACE(                                           \
        "j.position") " AS place) "                                                                          \
                      "SELECT 1, count(*), count(*) FILTER (WHERE job_type = 'load_test'), tenant_id, "      \
                      "queue, min(place), max(place)"                                                        \
                      "  FROM moved GROUP BY queue, tenant_id, priority"

// Each → a row for each lane and priority: also its names, the first and the last place
const pg::Statement kPromote{pg::Plan::pinned, "WITH due AS (" FAIRQ_DUE "), " FAIRQ_PROMOTE, {TIMESTAMPTZOID, INT4OID, TIMESTAMPTZOID, BOOLOID}};
const pg::Statement kPromoteOfTenants{pg::Plan::pinned, "WITH due AS (" FAIRQ_DUE_OF_TENANTS "), " FAIRQ_PROMOTE, {TIMESTAMPTZOID, INT4OID, TIMESTAMPTZOID, BOOLOID, TEXTARRAYOID}};
// now, ids that this transaction has locked
const pg::Statement kPromoteJobs{pg::Plan::pinned, "WITH due AS (SELECT id FROM unnest($2) AS a (id)), " FAIRQ_PROMOTE, {TIMESTAMPTZOID, INT8ARRAYOID}};

const pg::Statement kDue{pg::Plan::pinned, FAIRQ_DUE, {TIMESTAMPTZOID, INT4OID, TIMESTAMPTZOID, BOOLOID}};
const pg::Statement kDueOfTenants{pg::Plan::pinned, FAIRQ_DUE_OF_TENANTS, {TIMESTAMPTZOID, INT4OID, TIMESTAMPTZOID, BOOLOID, TEXTARRAYOID}};

// clang-format on

// True at most once in each interval, or while there is work left: the session that gets it does the sweep. A role that
// is bound to tenants has a clock of its own: its sweep leaves out other tenants, whose own sweeps it must not delay.
bool sweep_is_due(OnlyTenants only) {
    return shared::queue_state::sweep_is_due(tables::live_table_oid(pg::schema()), scope_of(only));
}

// Moves due jobs into their lanes.
class Promotion {
public:
    Promotion(TimestampTz from, OnlyTenants only) : from_(pg::of_time(from)), only_(only) {}

    // All of a chunk at once; if that fails, apart. Returns how many, and whether there were fewer than asked for.
    int64 run(core::Budget &budget, bool &all) {
        int const most = budget.chunk();
        int64 const began = pg::monotonic_now();
        int64 moved = 0;
        now_ = pg::of_time(pg::now()); // later than what the last chunk has noted
        auto const error = pg::try_subtransaction(
            [&] { moved = count_into_lanes(execute(kPromote, kPromoteOfTenants, most)); });
        if (error)
            moved = apart(budget, most);
        all = !error && moved < most;
        budget.used(static_cast<int>(moved), began, pg::monotonic_now());
        return moved;
    }

private:
    pg::Rows execute(const pg::Statement &of_all, const pg::Statement &of_tenants, int most) const {
        pg::Value const limit = pg::of(int32{most}), any = pg::of(any_failures());
        return only_ ? pg::execute(of_tenants, {now_, limit, from_, any, array_of(only_)})
                     : pg::execute(of_all, {now_, limit, from_, any});
    }

    int64 apart(core::Budget &budget, int most) const {
        Ids const due = ids_in(execute(kDue, kDueOfTenants, most));
        return Apart(Chore::promote, Subject::job, budget)
            .run(
                due,
                [&](const Ids &some) {
                    return count_into_lanes(pg::execute(kPromoteJobs, {now_, pg::of(some)}));
                },
                same);
    }

    pg::Value now_;
    pg::Value const from_;
    OnlyTenants only_;
};

// All entries before the first due job are dead, for every tenant: so it is a lower bound for these tenants, too.
void promote(const HousekeepingRequest &request, Housekept &done) {
    TimestampTz const now = pg::now();
    std::optional<TimestampTz> const from = tables::first_due_job(pg::schema(), now);
    if (!from)
        return;
    pg::with_spi([&] {
        core::Budget budget =
            request.in_bulk ? budget_of_tick(request.max_jobs) : budget_of_call(request.max_jobs);
        Promotion promotion(*from, request.only_tenants);
        bool all = false;
        do {
            pg::check_interrupts();
            int64 const moved = promotion.run(budget, all);
            done.promoted += moved;
            if (moved == 0)
                break;
        } while (!all && !budget.spent(pg::monotonic_now()));
        done.more_due = !all && done.promoted > 0;
    });
}

class Steps {
public:
    Steps(const AroundStep &around, Housekept &done) : around_(around), done_(done) {}
    void run(Chore chore, const std::function<void()> &body) {
        if (auto const error = around_(body))
            done_.errors.push_back(reported(chore, *error));
    }

private:
    const AroundStep &around_;
    Housekept &done_;
};

void keep_house_in_bulk(const HousekeepingRequest &request, Steps steps, Housekept &done) {
    steps.run(Chore::promote, [&] { promote(request, done); });
    steps.run(Chore::reclaim, [] {
        reclaim_within(budget_of_tick(core::kMaxJobsPerCall, kFirstJobs), pg::settings::lease_timeout(),
                       Noted::passed_over);
    });
    steps.run(Chore::unpark, [] { unpark(); });
    steps.run(Chore::advance, [] { advance_runs(core::kRunStep); });
    steps.run(Chore::partitions, [] { make_partitions(); });
}

} // namespace

std::optional<pg::ErrorText> in_subtransaction(const std::function<void()> &step) {
    return pg::try_subtransaction(step);
}

std::string reported(Chore chore, const pg::ErrorText &error) {
    report_failure(chore, error);
    return std::string(name_of(chore)) + ": " + error.message;
}

// While nothing is due, a claim pays for no subtransaction: what promote() asks first reads one page of an index.
Housekept housekeeping(const HousekeepingRequest &request, const AroundStep &around) {
    Housekept done;
    Steps steps(around, done);
    if (request.in_bulk) {
        keep_house_in_bulk(request, steps, done);
        return done;
    }
    promote(request, done);
    done.swept = sweep_is_due(request.only_tenants);
    if (!done.swept)
        return done;
    bool more = false;
    steps.run(Chore::partitions, [] { keep_partitions_ahead(); });
    steps.run(Chore::reclaim,
              [&] { more = sweep(pg::settings::lease_timeout(), request.only_tenants) || more; });
    steps.run(Chore::unpark, [&] { more = unpark(request.only_tenants) || more; });
    steps.run(Chore::unpark, [] {
        pg::with_spi([] {
            if (any_failures())
                forget_ended();
        });
    });
    if (more)
        shared::queue_state::sweep_again(tables::live_table_oid(pg::schema()),
                                         scope_of(request.only_tenants));
    return done;
}

} // namespace fairq::queue
