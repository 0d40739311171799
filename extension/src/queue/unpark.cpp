// The sweep of parked jobs: it finds those whose key is free, or whose type is not paused any more, and which no event
// has brought back: for example, the end of a running job passed over a key that was locked, or a type has more jobs than
// the call that resumed it may move. With shared memory, the next sweep goes on where the last one stopped, in whichever
// session, and after the last entry with the first.
#include "queue/failures.hpp"
#include "queue/limits.hpp"
#include "queue/random_start.hpp"

namespace fairq::queue {

namespace {

// SQL is laid out by hand.
// clang-format off

// tenant, key, how many, only this tenant (NULL: all) → the next tenants and keys that have parked jobs, and whether no
// job runs with the key
const pg::Statement kParkedKeys{pg::Plan::pinned, R"(
WITH RECURSIVE keys (tenant_id, concurrency_key, n) AS (
    SELECT first.tenant_id, first.concurrency_key, 1
      FROM (SELECT tenant_id, concurrency_key FROM @job_live
             WHERE parked_position IS NOT NULL AND concurrency_key IS NOT NULL AND (tenant_id, concurrency_key) > ($1, $2)
             ORDER BY tenant_id, concurrency_key LIMIT 1) AS first
     WHERE $4 IS NULL OR first.tenant_id = $4
    UNION ALL
    SELECT next.tenant_id, next.concurrency_key, n + 1
      FROM keys, LATERAL (SELECT j.tenant_id, j.concurrency_key FROM @job_live j
                           WHERE j.parked_position IS NOT NULL AND j.concurrency_key IS NOT NULL
                             AND (j.tenant_id, j.concurrency_key) > (keys.tenant_id, keys.concurrency_key)
                           ORDER BY j.tenant_id, j.concurrency_key LIMIT 1) AS next
     WHERE n < $3 AND ($4 IS NULL OR next.tenant_id = $4)
)
SELECT tenant_id, concurrency_key,
       NOT EXISTS (SELECT FROM @job_live h WHERE h.tenant_id = keys.tenant_id AND h.held_key = keys.concurrency_key)
  FROM keys ORDER BY n)", {TEXTOID, TEXTOID, INT4OID, TEXTOID}};
struct ParkedKeyRow {
    enum Column { tenant = 1, key, free };
};

// → the last tenant and key that have parked jobs
const pg::Statement kLastParkedKey{pg::Plan::pinned, R"(
SELECT tenant_id, concurrency_key FROM @job_live
 WHERE parked_position IS NOT NULL AND concurrency_key IS NOT NULL
 ORDER BY tenant_id DESC, concurrency_key DESC LIMIT 1)"};

// → the last type that has jobs which were parked because their type was paused
const pg::Statement kLastParkedType{pg::Plan::pinned, R"(
SELECT job_type FROM @job_live
 WHERE parked_position IS NOT NULL AND concurrency_key IS NULL ORDER BY job_type DESC LIMIT 1)"};

// type → the next type that has jobs which were parked because their type was paused
const pg::Statement kNextParkedType{pg::Plan::pinned, R"(
SELECT job_type FROM @job_live
 WHERE parked_position IS NOT NULL AND concurrency_key IS NULL AND job_type > $1 ORDER BY job_type LIMIT 1)", {TEXTOID}};
// The same of one tenant; the comparison of rows makes the planner use the index by tenant
const pg::Statement kNextParkedTypeOfTenant{pg::Plan::pinned, R"(
SELECT job_type FROM @job_live
 WHERE parked_position IS NOT NULL AND concurrency_key IS NULL
   AND (tenant_id, job_type) > ($2, $1) AND tenant_id <= $2 ORDER BY tenant_id, job_type LIMIT 1)", {TEXTOID, TEXTOID}};

// type, behind which position, how many, anything to pass over?, now → id, position of parked jobs; locks them
const pg::Statement kParkedOfType{pg::Plan::pinned, R"(
SELECT id, parked_position FROM @job_live
 WHERE job_type = $1 AND parked_position > $2 AND concurrency_key IS NULL
   AND )" FAIRQ_NOT_PASSED_OVER("job", "job_live.id", "$4", "$5") R"(
 ORDER BY parked_position LIMIT $3 FOR UPDATE SKIP LOCKED)", {TEXTOID, INT8OID, INT4OID, BOOLOID, TIMESTAMPTZOID}};
const pg::Statement kParkedOfTypeAndTenant{pg::Plan::pinned, R"(
SELECT id, parked_position FROM @job_live
 WHERE (tenant_id, job_type, parked_position) > ($6, $1, $2) AND (tenant_id, job_type) <= ($6, $1)
   AND parked_position IS NOT NULL AND concurrency_key IS NULL
   AND )" FAIRQ_NOT_PASSED_OVER("job", "job_live.id", "$4", "$5") R"(
 ORDER BY tenant_id, job_type, parked_position LIMIT $3 FOR UPDATE SKIP LOCKED)", {TEXTOID, INT8OID, INT4OID, BOOLOID, TIMESTAMPTZOID, TEXTOID}};
struct ParkedRow {
    enum Column { id = 1, position };
};

// ids → of each lane and priority their number, its names, the first and the last place
const pg::Statement kUnparkJobs{pg::Plan::pinned, R"(
WITH moved AS (
    UPDATE @job_live j SET position = parked_position, parked_position = NULL, updated_at = clock_timestamp()
      FROM unnest($1) AS a (id) WHERE j.id = a.id AND j.parked_position IS NOT NULL
    RETURNING j.queue, j.tenant_id, j.priority, )" FAIRQ_PLACE("j.position") R"( AS place
)
SELECT count(*), queue, tenant_id, min(place), max(place) FROM moved GROUP BY queue, tenant_id, priority)", {INT8ARRAYOID}};
struct UnparkedJobs {
    enum Column { jobs = 1, queue, tenant, first_place, last_place };
};

// clang-format on

using shared::queue_state::Place;
using shared::queue_state::Search;

constexpr int kKeysAtOnce = 100;
constexpr int kMostJobs = 10000;    // by one sweep
constexpr int kMostAtResume = 1000; // jobs of a type; housekeeping does the rest

// ------------------------------------------------------------------------------------------ keys

struct ParkedKeys {
    Place last; // behind which to go on
    FreedKeys free;
    int found;
};

ParkedKeys parked_keys(const Place &behind, int most, const std::string *tenant) {
    pg::Rows const rows = pg::execute(
        kParkedKeys, {pg::of(std::string_view(behind.first)), pg::of(std::string_view(behind.second)),
                      pg::of(int32{most}), tenant ? pg::of(std::string_view(*tenant)) : pg::Value{}});
    ParkedKeys keys{behind, {}, static_cast<int>(rows.size())};
    for (size_t row = 0; row < rows.size(); ++row) {
        keys.last = {rows.text_at(row, ParkedKeyRow::tenant), rows.text_at(row, ParkedKeyRow::key)};
        if (rows.bool_at(row, ParkedKeyRow::free))
            keys.free.emplace_back(keys.last.first, keys.last.second);
    }
    auto const is_paused = [](auto const &key) {
        return limits_of(key.first).paused;
    }; // it would only be parked again
    keys.free.erase(std::remove_if(keys.free.begin(), keys.free.end(), is_paused), keys.free.end());
    return keys;
}

// Without shared memory.
Place random_key() {
    pg::Rows const end = pg::execute(kLastParkedKey);
    if (end.empty())
        return {};
    using Key = std::pair<std::string, std::string>; // tenant, key
    auto const between = [](const Key &first, const Key &last) {
        return first.first != last.first
                   ? Key{core::between(first.first, last.first, pg::random_bits()), ""}
                   : Key{first.first, core::between(first.second, last.second, pg::random_bits())};
    };
    auto const next = [](const Key &key) {
        Place const found = parked_keys({key.first, key.second}, 1, nullptr).last;
        return Key{found.first, found.second};
    };
    Key const start = random_start(
        Key{}, Key{end.text_at(0, ParkedKeyRow::tenant), end.text_at(0, ParkedKeyRow::key)}, between, next);
    return {start.first, start.second};
}

// Searches the keys of all tenants, or of one tenant. Returns whether it has found the last one.
bool unpark_keys(Place &place, const std::string *tenant, core::Budget &budget, int64 &unparked) {
    do {
        pg::check_interrupts();
        ParkedKeys const keys = parked_keys(place, kKeysAtOnce, tenant);
        unparked += static_cast<int64>(keys.free.size());
        free_keys(keys.free);
        place = keys.last;
        if (keys.found < kKeysAtOnce)
            return true;
    } while (!budget.spent(pg::monotonic_now()));
    return false;
}

// From the place on to the last key, then from the first key on; with a little luck a sweep sees all of them.
bool sweep_keys(Oid queue) {
    core::Budget budget = budget_of_call(kMostJobs);
    std::optional<Place> const known = shared::queue_state::place(queue, InvalidOid, Search::keys);
    Place place = known ? *known : random_key();
    int64 unparked = 0;
    bool const began_at_first = place.first.empty();
    bool end = unpark_keys(place, nullptr, budget, unparked);
    if (end) {
        place = {};
        end = began_at_first || unpark_keys(place, nullptr, budget, unparked);
    }
    shared::queue_state::set_place(queue, InvalidOid, Search::keys, end ? Place{} : place);
    return !end && unparked > 0;
}

// The tenants take turns: the sweep begins with the one at which the last sweep of this scope stopped.
bool sweep_keys_of(const std::vector<std::string> &tenants, Oid queue, Oid scope) {
    core::Budget budget = budget_of_call(kMostJobs);
    std::optional<Place> const known = shared::queue_state::place(queue, scope, Search::keys);
    Place place = known.value_or(Place{tenants[pg::random_bits() % tenants.size()], ""});
    size_t at =
        static_cast<size_t>(std::lower_bound(tenants.begin(), tenants.end(), place.first) - tenants.begin());
    int64 unparked = 0;
    bool end = true;
    for (size_t i = 0; i <= tenants.size() && end; ++i, ++at) {
        std::string const &tenant = tenants[at % tenants.size()];
        if (place.first != tenant)
            place = {tenant, ""};
        end = unpark_keys(place, &tenant, budget, unparked);
        if (end)
            place = {tenants[(at + 1) % tenants.size()], ""};
    }
    shared::queue_state::set_place(queue, scope, Search::keys, place);
    return !end && unparked > 0;
}

// ------------------------------------------------------------------------------------------ types

bool is_paused_type(const std::string &type) {
    std::vector<std::string> const &paused = paused_types();
    return std::binary_search(paused.begin(), paused.end(), type);
}

int64 unpark_jobs(const Ids &jobs) {
    pg::Rows const moved = pg::execute(kUnparkJobs, {pg::of(jobs)});
    int64 all = 0;
    for (size_t row = 0; row < moved.size(); ++row) {
        int64 const some = moved.int64_at(row, UnparkedJobs::jobs);
        lane_filled({moved.text_at(row, UnparkedJobs::queue), moved.text_at(row, UnparkedJobs::tenant)}, some,
                    range_in(moved, row, UnparkedJobs::first_place));
        all += some;
    }
    return all;
}

// The jobs of one type, of all tenants or of one, behind a position. Returns whether it has found the last one.
bool unpark_type(Place &place, const std::string *tenant, core::Budget &budget, int64 &unparked) {
    do {
        pg::check_interrupts();
        int const most = budget.chunk();
        int64 const began = pg::monotonic_now();
        pg::Value const type = pg::of(std::string_view(place.second)), behind = pg::of(place.major),
                        limit = pg::of(int32{most}), any = pg::of(any_failures()),
                        now = pg::of_time(pg::now());
        pg::Rows const rows =
            tenant ? pg::execute(kParkedOfTypeAndTenant,
                                 {type, behind, limit, any, now, pg::of(std::string_view(*tenant))})
                   : pg::execute(kParkedOfType, {type, behind, limit, any, now});
        Ids const jobs = ids_in(rows);
        if (!jobs.empty())
            place.major = rows.int64_at(jobs.size() - 1, ParkedRow::position);
        int64 const moved = Apart(Chore::unpark, Subject::job, budget).run(jobs, unpark_jobs, same);
        unparked += moved;
        budget.used(static_cast<int>(jobs.size()), began, pg::monotonic_now());
        if (jobs.size() < static_cast<size_t>(most))
            return true;
    } while (!budget.spent(pg::monotonic_now()));
    return false;
}

std::optional<std::string> next_type(const std::string &type, const std::string *tenant) {
    pg::Value const behind = pg::of(std::string_view(type));
    pg::Rows const next =
        tenant ? pg::execute(kNextParkedTypeOfTenant, {behind, pg::of(std::string_view(*tenant))})
               : pg::execute(kNextParkedType, {behind});
    return next.empty() ? std::nullopt : std::optional(next.text_at(0, pg::kOnlyColumn));
}

// The types that are not paused: the rest of the one in the place, then those behind it. Returns whether it has found
// the last one.
bool unpark_types(Place &place, const std::string *tenant, core::Budget &budget, int64 &unparked) {
    for (;;) {
        bool const waits = place.second.empty() || is_paused_type(place.second);
        if (!waits && !unpark_type(place, tenant, budget, unparked))
            return false;
        std::optional<std::string> const next = next_type(place.second, tenant);
        if (!next)
            return true;
        place.second = *next;
        place.major = INT64_MIN;
    }
}

// Without shared memory.
Place random_type() {
    pg::Rows const last = pg::execute(kLastParkedType);
    if (last.empty())
        return {};
    auto const between = [](const std::string &first, const std::string &other) {
        return core::between(first, other, pg::random_bits());
    };
    auto const next = [](const std::string &type) { return next_type(type, nullptr).value_or(type); };
    return {"", random_start(std::string(), last.text_at(0, pg::kOnlyColumn), between, next), INT64_MIN};
}

// From the place on to the last type, then from the first one on.
bool sweep_types_of_all(Place &place, core::Budget &budget) {
    int64 unparked = 0;
    bool const began_at_first = place.second.empty();
    bool const end = unpark_types(place, nullptr, budget, unparked);
    if (!end || began_at_first)
        return end;
    place = {};
    return unpark_types(place, nullptr, budget, unparked);
}

// The same, tenant by tenant.
bool sweep_types_of(const std::vector<std::string> &tenants, Place &place, core::Budget &budget) {
    auto const begin =
        static_cast<size_t>(std::lower_bound(tenants.begin(), tenants.end(), place.first) - tenants.begin());
    int64 unparked = 0;
    bool end = true;
    for (size_t i = 0; i <= tenants.size() && end; ++i) {
        std::string const &tenant = tenants[(begin + i) % tenants.size()];
        if (place.first != tenant || i == tenants.size())
            place = {tenant, ""};
        end = unpark_types(place, &tenant, budget, unparked);
    }
    return end;
}

bool sweep_types(OnlyTenants only, Oid queue, Oid scope) {
    core::Budget budget = budget_of_call(kMostJobs);
    std::optional<Place> const known = shared::queue_state::place(queue, scope, Search::types);
    Place place = known  ? *known
                  : only ? Place{(*only)[pg::random_bits() % only->size()], ""}
                         : random_type();
    bool const end = only ? sweep_types_of(*only, place, budget) : sweep_types_of_all(place, budget);
    shared::queue_state::set_place(queue, scope, Search::types, end ? Place{} : place);
    return !end;
}

} // namespace

void unpark_type(std::string_view type) {
    core::Budget budget = budget_of_caller(kMostAtResume);
    Place place{"", std::string(type), INT64_MIN};
    int64 unparked = 0;
    if (!unpark_type(place, nullptr, budget, unparked))
        shared::queue_state::sweep_again(tables::live_table_oid(pg::schema()), InvalidOid);
}

bool unpark(OnlyTenants only) {
    Oid const queue = tables::live_table_oid(pg::schema()), scope = scope_of(only);
    return pg::with_spi([&] {
        bool const keys = only ? sweep_keys_of(*only, queue, scope) : sweep_keys(queue);
        bool const types = sweep_types(only, queue, scope);
        return keys || types;
    });
}

} // namespace fairq::queue
