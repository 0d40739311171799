// Waiting for jobs, and what a claim tells waiting sessions (shared/waiters/waiters.hpp says how they are woken).
#include "queue/wait.hpp"

#include "pg/clock.hpp"
#include "pg/interrupts.hpp"
#include "pg/transaction.hpp"
#include "queue/limit_check.hpp"
#include "shared/waiters/waiters.hpp"
#include "tables/owner.hpp"

namespace fairq::queue {

namespace {

// SQL is laid out by hand.
// clang-format off

// now → when the first job behind it is due
const pg::Statement kNextDue{pg::Plan::pinned, "SELECT due_at FROM @job_live WHERE due_at > $1 ORDER BY due_at LIMIT 1", {TIMESTAMPTZOID}};

// clang-format on

constexpr int64 kHouseInterval = core::kSecond;
constexpr int64 kPollInterval = core::kSecond;     // without shared memory
constexpr int64 kMoment = 10 * core::kMillisecond; // until the next claim after one that stopped
constexpr int kPromotedAtOnce = 1000;

Oid own_queue() {
    return tables::live_table_oid(pg::schema());
}

// Times without a date are those of the monotonic clock: a session that waits must not wait for longer, or claim in vain,
// because the wall clock is set.
void sleep_until(int64 at) {
    pg::sleep_interruptibly(static_cast<long>(std::max<int64>(0, at - pg::monotonic_now()) / 1000 + 1));
}

int64 monotonic(TimestampTz at) {
    return at == DT_NOEND || at == DT_NOBEGIN ? at : pg::monotonic_now() + (at - pg::now());
}

// When the next scheduled job is due. Overdue jobs are left out: another session has them locked.
TimestampTz next_due(TimestampTz now) {
    return pg::with_spi([&] {
        pg::Rows const rows = pg::execute(kNextDue, {pg::of_time(now)});
        return rows.empty() ? DT_NOEND : rows.time_at(0, pg::kOnlyColumn);
    });
}

// Does the housekeeping and finds the next moment at which a job is due.
void look_for_work() {
    shared::waiters::begin_look();
    TimestampTz const now = pg::now();
    Housekept const done = housekeeping({kPromotedAtOnce});
    if (done.swept)
        advance_runs(core::kRunStep);
    shared::waiters::end_look(done.more_due ? now : next_due(now));
}

// Does the housekeeping that a claim would do. Like every commit, this one wakes sessions if it brings jobs.
void keep_house_and_commit() {
    pg::use_read_committed();
    pg::as_role(tables::owner_of_extension(pg::schema()), [] { pg::with_own_names(look_for_work); });
    pg::commit_and_chain(); // nothing pins the horizon during the next sleep
}

// Sleeps until this session is woken, or until `end`. True: it was woken.
bool wait_until(Oid queue, int64 end) {
    for (int64 kept_house = pg::monotonic_now();;) {
        shared::waiters::Watch const watch = shared::waiters::watch();
        int64 const now = pg::monotonic_now(), next_house = kept_house + kHouseInterval,
                    due_at = monotonic(watch.due_at);
        if (watch.woken)
            shared::waiters::check_client();
        if (watch.woken || now >= end)
            return shared::waiters::leave();
        if (!watch.leader) {
            sleep_until(end);
        } else if (std::min(due_at, next_house) <= now) {
            keep_house_and_commit();
            kept_house = now;
        } else {
            sleep_until(std::min({end, due_at, watch.opens_at, next_house}));
        }
    }
}

// Whether there may be jobs that this session's last claim did not see: then the session need not wait.
bool is_old_news(Oid queue, const std::vector<std::string> *queues, int64 end) {
    switch (shared::waiters::seen(queue, queues)) {
    case shared::waiters::Saw::all:
        return false;
    case shared::waiters::Saw::stopped:
        sleep_until(std::min(end, pg::monotonic_now() + kMoment));
        return true;
    case shared::waiters::Saw::more:
        shared::waiters::mark_seen(queue, queues);
        return true;
    }
    return true;
}

} // namespace

bool wait_for_jobs(int64 timeout, const shared::waiters::Wanted &wanted) {
    Oid const queue = own_queue();
    pg::commit_and_chain(); // lets go of the caller's snapshot, which would pin the horizon
    int64 const end = pg::monotonic_now() + timeout;
    if (!shared::waiters::enter(queue, wanted)) {
        sleep_until(std::min(end, pg::monotonic_now() + kPollInterval));
        return true; // there may be jobs: without a slot no session could have woken this one
    }
    if (is_old_news(queue, wanted.queues, end)) {
        shared::waiters::leave();
        return true;
    }
    bool const woken = wait_until(queue, end);
    if (woken)
        shared::waiters::mark_seen(queue, wanted.queues);
    return woken;
}

// ------------------------------------------------------------------------------------------ what a claim tells

namespace {

// Whether the claim may have left jobs that another claim would get at once: because it got all that it asked
// for, because it came to a bound (the jobs of one tenant, or locks), because it parked jobs that stood before
// others, or because it left a lane in the middle.
bool left_something(const ClaimRequest &request, const Claim &claim) {
    std::vector<int> from_lane(claim.lanes.size());
    for (tables::ClaimedJob const &job : claim.jobs)
        ++from_lane[static_cast<size_t>(job.lane)];
    bool const capped =
        std::any_of(from_lane.begin(), from_lane.end(), [&](int jobs) { return jobs == request.tenant_cap; });
    return claim.jobs.size() >= std::min(kMostTenantLocks, static_cast<size_t>(request.max_jobs)) || capped ||
           claim.parked > 0 || claim.left_lane;
}

bool has_cap(std::string_view tenant) {
    return limits_are_used() && limits_of(tenant).max_concurrency;
}

int lanes_of(const ClaimRequest &request) {
    return request.only_tenants ? static_cast<int>(request.only_tenants->size())
                                : shared::ring::lanes(own_queue(), request.queue).value_or(INT_MAX);
}

} // namespace

void claim_seen(const ClaimRequest &request, const Claim &claim, shared::waiters::News news) {
    using shared::waiters::Saw;
    Oid const queue = own_queue();
    auto const jobs = static_cast<int64>(claim.jobs.size());
    bool const more = left_something(request, claim);
    if (jobs > 0)
        shared::waiters::jobs_come_back(queue, request.queue, jobs);
    if (claim.opens_at != DT_NOEND)
        shared::waiters::rate_opens(queue, request.queue, monotonic(claim.opens_at));
    // Sessions may have passed over these tenants because this claim holds their locks. If it left jobs, wake them at
    // commit; else only if news came meanwhile. A claim that took no job wakes no session: idle claims would go on
    // waking each other.
    for (std::string const &tenant : claim.lanes) {
        if (!has_claim_limits(limits_of(tenant)))
            continue;
        if (more)
            shared::waiters::tenant_opens(queue, tenant);
        else if (jobs > 0)
            shared::waiters::tenant_held(queue, tenant, news.of_all);
    }
    Saw const saw = more ? Saw::more : claim.stopped ? Saw::stopped : Saw::all;
    shared::waiters::claimed(queue, request.queue, news, saw, claim.visited,
                             saw == Saw::stopped ? lanes_of(request) : 0);
    if (saw == Saw::all && !claim.busy && request.types.any() && request.only_tenants == nullptr)
        shared::waiters::own_jobs_seen(queue, request.queue);
}

void slot_freed(core::LaneName lane) {
    if (!has_cap(lane.tenant))
        return;
    shared::ring::open_at_commit(own_queue(), lane.tenant);
    shared::waiters::tenant_opens(own_queue(), lane.tenant);
}

void slot_freed_for_itself(core::LaneName lane) {
    if (has_cap(lane.tenant))
        shared::ring::open_at_commit(own_queue(), lane.tenant);
}

void job_due(TimestampTz at) {
    shared::waiters::job_due(own_queue(), at);
}

} // namespace fairq::queue
