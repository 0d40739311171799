// Stale leases: their workers send no heartbeats any more. A lease is stale by the times that its worker has written,
// so a server whose clock is set must not believe them: see Bounds. A session locks the stale leases that it handles
// by SKIP LOCKED, so others can reclaim the rest meanwhile.
#include "pg/caller.hpp"
#include "queue/lease.hpp"
#include "queue/random_start.hpp"
#include "tables/low_water_mark.hpp"

namespace fairq::queue {

namespace {

// SQL is laid out by hand.
// clang-format off

// before and behind which (locked at, token); heartbeat before or after; how many; anything to pass over?, now → token,
// worker, ids, locked at; locks them
const pg::Statement kStaleLeases{pg::Plan::pinned, R"(
SELECT lock_token, worker_id, job_ids, locked_at FROM @job_leases l
 WHERE locked_at < $1 AND (locked_at, lock_token) > ($2, $3) AND (heartbeat_at < $4 OR heartbeat_at > $5)
   AND )" FAIRQ_NOT_PASSED_OVER("lease", "l.lock_token", "$7", "$8") R"(
 ORDER BY locked_at, lock_token LIMIT $6 FOR UPDATE SKIP LOCKED)", {TIMESTAMPTZOID, TIMESTAMPTZOID, INT8OID, TIMESTAMPTZOID, TIMESTAMPTZOID, INT4OID, BOOLOID, TIMESTAMPTZOID}};

// before and behind which (locked at, token); heartbeat before or after; how many; tenants → token, locked at, are all
// its jobs of these tenants? A row for each of the next leases; locks nothing
const pg::Statement kStaleLeasesOfTenants{pg::Plan::pinned, R"(
SELECT l.lock_token, l.locked_at,
       NOT EXISTS (SELECT FROM unnest(l.job_ids) AS a (id) JOIN @job_live j ON j.id = a.id AND j.lock_token = l.lock_token
                    WHERE j.tenant_id <> ALL ($7))
  FROM (SELECT lock_token, job_ids, locked_at FROM @job_leases
         WHERE locked_at < $1 AND (locked_at, lock_token) > ($2, $3) AND (heartbeat_at < $4 OR heartbeat_at > $5)
         ORDER BY locked_at, lock_token LIMIT $6) AS l
 ORDER BY l.locked_at, l.lock_token)", {TIMESTAMPTZOID, TIMESTAMPTZOID, INT8OID, TIMESTAMPTZOID, TIMESTAMPTZOID, INT4OID, TEXTARRAYOID}};
struct StaleLeaseRow {
    enum Column { token = 1, locked_at, all_theirs };
};

// until → when the last lease was made; from, until → when the next one was made
const pg::Statement kLastLease{pg::Plan::pinned, "SELECT locked_at FROM @job_leases WHERE locked_at < $1 ORDER BY locked_at DESC LIMIT 1", {TIMESTAMPTZOID}};
const pg::Statement kNextLease{pg::Plan::pinned, "SELECT locked_at FROM @job_leases WHERE locked_at >= $1 AND locked_at < $2 ORDER BY locked_at LIMIT 1", {TIMESTAMPTZOID, TIMESTAMPTZOID}};

// tokens, heartbeat before or after, anything to pass over?, now → as kStaleLeases, for those that are still stale
const pg::Statement kLockStaleLeases{pg::Plan::pinned, R"(
SELECT l.lock_token, l.worker_id, l.job_ids, l.locked_at
  FROM unnest($1) AS t (token) JOIN @job_leases l ON l.lock_token = t.token
 WHERE (l.heartbeat_at < $2 OR l.heartbeat_at > $3) AND )" FAIRQ_NOT_PASSED_OVER("lease", "l.lock_token", "$4", "$5") R"(
 FOR UPDATE OF l SKIP LOCKED)", {INT8ARRAYOID, TIMESTAMPTZOID, TIMESTAMPTZOID, BOOLOID, TIMESTAMPTZOID}};

// clang-format on

constexpr int kLeasesAtOnce = 32;
constexpr int kLookedAtOnce = 100; // leases that may be of other tenants
constexpr int kMostJobs = 10000;   // by one sweep

// A lease is stale whose last heartbeat is before `before`, or after `after`: then the clock was set back since.
struct Bounds {
    TimestampTz before, after;
};

// None: no lease can be told to be stale. When the clock was set, what the leases' times say about their age is wrong;
// so until `stale_after` has passed since then every worker has the time to send a heartbeat, by the new clock.
std::optional<Bounds> bounds(int64 stale_after) {
    int64 const timeout = pg::settings::lease_timeout();
    // A worker that sends three heartbeats in the time of its lease survives a step of half of that time.
    std::optional<int64> const ago = shared::queue_state::clock_was_set(timeout / 2);
    if (ago && *ago < stale_after)
        return std::nullopt;
    TimestampTz const now = pg::now();
#ifdef FAIRQ_TEST_BELIEVING_CLOCK
    return Bounds{now - stale_after, DT_NOEND};
#endif
    return Bounds{now - stale_after, now + std::max(stale_after, timeout)};
}

// A part of the leases, in the order in which they were made.
struct Range {
    TimestampTz locked_at; // behind this lease
    int64 token;
    TimestampTz to;
};

// The parts of a sweep: the leases of the past, then those from a time that is still to come, as a ring: it goes on where
// the last sweep stopped, and ends there. So no lease waits for all others to go, which may never be.
std::vector<Range> ranges(const Bounds &stale, const shared::queue_state::Place &start) {
    Range const to_come{stale.after, INT64_MAX, DT_NOEND};
    std::optional<TimestampTz> const first = tables::first_lease(pg::schema(), stale.before);
    if (!first)
        return {to_come};
    Range const past{*first, 0, stale.before};
    if (start.major <= *first)
        return {past, to_come};
    if (start.major < stale.before)
        return {{start.major, start.minor, stale.before}, to_come, {*first, 0, start.major + 1}};
    if (start.major <= stale.after)
        return {to_come, past};
    return {{start.major, start.minor, DT_NOEND}, past, {stale.after, INT64_MAX, start.major + 1}};
}

constexpr int kLookAhead =
    8; // of so many sweeps without a place, one begins with the leases from a time to come

// Without shared memory.
TimestampTz random_lease(TimestampTz first, TimestampTz before) {
    if (pg::random_bits() % kLookAhead == 0)
        return before;
    pg::Rows const last = pg::execute(kLastLease, {pg::of_time(before)});
    if (last.empty())
        return first;
    auto const between = [](TimestampTz from, TimestampTz to) {
        return from + 1 + static_cast<int64>(pg::random_bits() % static_cast<uint64>(to - from));
    };
    auto const next = [&](TimestampTz from) {
        pg::Rows const found = pg::execute(kNextLease, {pg::of_time(from), pg::of_time(before)});
        return found.empty() ? from : found.time_at(0, pg::kOnlyColumn);
    };
    return random_start(first, last.time_at(0, pg::kOnlyColumn), between, next);
}

shared::queue_state::Place start_of(const Bounds &stale, Oid queue, Oid scope) {
    using shared::queue_state::Search;
    if (auto const known = shared::queue_state::place(queue, scope, Search::leases))
        return *known;
    std::optional<TimestampTz> const first = tables::first_lease(pg::schema(), stale.before);
    return first ? shared::queue_state::Place{"", "", random_lease(*first, stale.before), 0}
                 : shared::queue_state::Place{};
}

// Leases, one part after the other.
class StaleLeases {
public:
    StaleLeases(const Bounds &stale, std::vector<Range> parts, OnlyTenants only)
        : stale_(stale), parts_(std::move(parts)), only_(only) {}

    // The next stale leases, locked; none when they are of other tenants, or passed over.
    std::vector<Lease> next(Noted noted) {
        Range &part = parts_[part_];
        last_part_ = part_, last_ = part;
        pg::Value const any = pg::of(noted == Noted::passed_over && any_failures()),
                        now = pg::of_time(pg::now());
        pg::Value const before = pg::of_time(stale_.before), after = pg::of_time(stale_.after);
        if (only_) {
            Ids const tokens = look(part, before, after);
            return leases_of(pg::execute(kLockStaleLeases, {pg::of(tokens), before, after, any, now}));
        }
        // A call for a number of jobs leaves the leases that it does not need to other such calls.
        int const most = noted == Noted::tried ? 1 : kLeasesAtOnce;
        std::vector<Lease> leases = leases_of(
            pg::execute(kStaleLeases, {pg::of_time(part.to), pg::of_time(part.locked_at), pg::of(part.token),
                                       before, after, pg::of(int32{most}), any, now}));
        if (leases.size() < static_cast<size_t>(most))
            ++part_;
        else
            part.locked_at = leases.back().locked_at, part.token = leases.back().token;
        return leases;
    }
    // The last ones are not done yet.
    void go_back() {
        part_ = last_part_;
        parts_[part_] = last_;
    }
    bool at_end() const { return part_ == parts_.size(); }
    // Where the next sweep begins.
    shared::queue_state::Place place() const {
        if (at_end())
            return {};
        return {"", "", parts_[part_].locked_at, parts_[part_].token};
    }

private:
    // Those of the next leases that hold jobs of these tenants only.
    Ids look(Range &part, const pg::Value &before, const pg::Value &after) {
        pg::Rows const rows = pg::execute(
            kStaleLeasesOfTenants, {pg::of_time(part.to), pg::of_time(part.locked_at), pg::of(part.token),
                                    before, after, pg::of(int32{kLookedAtOnce}), array_of(only_)});
        Ids tokens;
        for (size_t row = 0; row < rows.size(); ++row)
            if (rows.bool_at(row, StaleLeaseRow::all_theirs))
                tokens.push_back(rows.int64_at(row, StaleLeaseRow::token));
        if (rows.size() < kLookedAtOnce) {
            ++part_;
        } else {
            part.locked_at = rows.time_at(rows.size() - 1, StaleLeaseRow::locked_at);
            part.token = rows.int64_at(rows.size() - 1, StaleLeaseRow::token);
        }
        return tokens;
    }

    Bounds stale_;
    std::vector<Range> parts_;
    size_t part_ = 0, last_part_ = 0;
    Range last_{}; // what last_part_ was before the last next()
    OnlyTenants only_;
};

PutBack put_back_some(StaleLeases &stale, core::Budget &budget, Noted noted) {
    PutBack done;
    do {
        pg::check_interrupts();
        int64 const began = pg::monotonic_now();
        std::vector<Lease> const leases = stale.next(noted);
        if (leases.empty())
            continue;
        PutBack const some = put_back(leases, budget, noted);
        done.jobs += some.jobs;
        done.ended += some.ended;
        if (some.jobs == 0)
            budget.used(0, began, pg::monotonic_now());
        if (some.left)
            stale.go_back();
    } while (!stale.at_end() && !budget.spent(pg::monotonic_now()));
    return done;
}

} // namespace

int64 reclaim_within(core::Budget budget, int64 stale_after, Noted noted) {
    std::optional<Bounds> const stale = bounds(stale_after);
    if (!stale)
        return 0;
    return pg::with_spi([&] {
        StaleLeases leases(*stale, ranges(*stale, {}), nullptr);
        return put_back_some(leases, budget, noted).jobs;
    });
}

int64 reclaim(int64 stale_after, int max_jobs) {
    return reclaim_within(budget_of_caller(max_jobs, kFirstJobs), stale_after, Noted::tried);
}

bool sweep(int64 stale_after, OnlyTenants only) {
    std::optional<Bounds> const stale = bounds(stale_after);
    if (!stale)
        return false;
    Oid const queue = tables::live_table_oid(pg::schema()), scope = scope_of(only);
    return pg::with_spi([&] {
#ifdef FAIRQ_TEST_ONE_JOB_A_SWEEP
        core::Budget budget = budget_of_call(1, 1);
#else
        core::Budget budget = budget_of_call(kMostJobs, kFirstJobs);
#endif
        StaleLeases leases(*stale, ranges(*stale, start_of(*stale, queue, scope)), only);
        PutBack const done = put_back_some(leases, budget, Noted::passed_over);
        shared::queue_state::set_place(queue, scope, shared::queue_state::Search::leases, leases.place());
#ifdef FAIRQ_TEST_ONE_JOB_A_SWEEP
        return false;
#endif
        return !leases.at_end() && done.jobs + done.ended > 0;
    });
}

Oid scope_of(OnlyTenants only) {
    return only ? pg::calling_role() : InvalidOid;
}

} // namespace fairq::queue
