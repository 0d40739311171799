// Concurrency keys and paused types: a job that cannot run now, and would stand in the way of the jobs behind it, is
// parked, out of its lane. It comes back when its key is free or its type is resumed.
#include "pg/table_cache.hpp"
#include "queue/limits.hpp"
#include "tables/tenant_lock.hpp"

namespace fairq::queue {

namespace {

// SQL is laid out by hand.
// clang-format off

const pg::Statement kPausedTypes{pg::Plan::pinned, "SELECT job_type FROM @paused_job_types ORDER BY job_type"};

// tenant, key → place: the first parked job of the key goes back to its place, if no running job holds the key
const pg::Statement kUnpark{pg::Plan::pinned, R"(
UPDATE @job_live SET position = parked_position, parked_position = NULL, updated_at = clock_timestamp()
 WHERE id = (SELECT id FROM @job_live
              WHERE tenant_id = $1 AND concurrency_key = $2 AND parked_position IS NOT NULL
              ORDER BY priority, parked_position LIMIT 1 FOR UPDATE SKIP LOCKED)
   AND NOT EXISTS (SELECT FROM @job_live WHERE tenant_id = $1 AND held_key = $2)
RETURNING )" FAIRQ_PLACE("position") R"()", {TEXTOID, TEXTOID}};

// tenant, key → the next tenant and key that have parked jobs
const pg::Statement kNextParkedKey{pg::Plan::pinned, R"(
SELECT tenant_id, concurrency_key FROM @job_live
 WHERE parked_position IS NOT NULL AND concurrency_key IS NOT NULL AND (tenant_id, concurrency_key) > ($1, $2)
 ORDER BY tenant_id, concurrency_key LIMIT 1)", {TEXTOID, TEXTOID}};
struct NextParkedKey {
    enum Column { tenant = 1, key };
};

// type → the next type that has jobs which were parked because their type was paused
const pg::Statement kNextParkedType{pg::Plan::pinned, R"(
SELECT job_type FROM @job_live
 WHERE parked_position IS NOT NULL AND concurrency_key IS NULL AND job_type > $1 ORDER BY job_type LIMIT 1)", {TEXTOID}};

// type, how many, tenants (NULL: all) → of each tenant and priority their number, its name, the first and the last
// place. Looks at ten times as many jobs as it moves at most.
const pg::Statement kUnparkType{pg::Plan::pinned, R"(
WITH picked AS (
    SELECT j.id
      FROM (SELECT id FROM @job_live WHERE job_type = $1 AND parked_position IS NOT NULL AND concurrency_key IS NULL
             ORDER BY parked_position LIMIT 10 * $2) AS first
      JOIN @job_live j ON j.id = first.id
     WHERE j.parked_position IS NOT NULL AND ($3 IS NULL OR j.tenant_id = ANY ($3))
     LIMIT $2 FOR UPDATE OF j SKIP LOCKED
), moved AS (
    UPDATE @job_live j SET position = parked_position, parked_position = NULL, updated_at = clock_timestamp() FROM picked p WHERE j.id = p.id
    RETURNING j.tenant_id, j.priority, )" FAIRQ_PLACE("j.position") R"( AS place
)
SELECT count(*), tenant_id, min(place), max(place) FROM moved GROUP BY tenant_id, priority)", {TEXTOID, INT4OID, TEXTARRAYOID}};
struct UnparkedJobs {
    enum Column { jobs = 1, tenant, first_place, last_place };
};

// clang-format on

constexpr size_t kMostFreed = 256; // keys, by one call: each takes a lock until it commits
constexpr int kKeysPerSweep = 100;
constexpr int kJobsPerSweep = 1000;

bool is_paused_type(const std::string &type) {
    std::vector<std::string> const &paused = paused_types();
    return std::binary_search(paused.begin(), paused.end(), type);
}

// Where the last sweep of this session stopped.
struct SweptTo {
    std::string tenant, key;
};
SweptTo &swept_to() {
    static SweptTo place;
    return place;
}

// The place before the first key of the next tenant in `tenants`, from `tenant` on: a sweep for these tenants steps
// over all keys of other tenants at once.
SweptTo first_of(const std::vector<std::string> &tenants, const std::string &tenant) {
    auto const next = std::lower_bound(tenants.begin(), tenants.end(), tenant);
    return next == tenants.end() ? SweptTo{} : SweptTo{*next, ""};
}

void unpark_keys(OnlyTenants only) {
    SweptTo &place = swept_to();
    for (int i = 0; i < kKeysPerSweep; ++i) {
        pg::check_interrupts();
        pg::Rows const next = pg::execute(
            kNextParkedKey, {pg::of(std::string_view(place.tenant)), pg::of(std::string_view(place.key))});
        if (next.empty()) {
            place = {};
            return;
        }
        place = {next.text_at(0, NextParkedKey::tenant), next.text_at(0, NextParkedKey::key)};
        if (only && !std::binary_search(only->begin(), only->end(), place.tenant)) {
            place = first_of(*only, place.tenant);
            if (place.tenant.empty())
                return;
            continue;
        }
        if (!limits_of(place.tenant).paused) // else it would only be parked again
            free_keys({{place.tenant, place.key}});
    }
}

void unpark_types(OnlyTenants only) {
    for (std::string type;;) {
        pg::Rows const next = pg::execute(kNextParkedType, {pg::of(std::string_view(type))});
        if (next.empty())
            return;
        type = next.text_at(0, pg::kOnlyColumn);
        if (!is_paused_type(type))
            unpark_type(type, only);
    }
}

} // namespace

const std::vector<std::string> &paused_types() {
    static pg::table_cache::Copy<std::vector<std::string>> copy;
    return copy.get(tables::relation_in(pg::schema(), "paused_job_types"), [] {
        return pg::with_spi([] {
            pg::Rows const rows = pg::read_as_of_snapshot(kPausedTypes);
            std::vector<std::string> types;
            for (size_t row = 0; row < rows.size(); ++row)
                types.push_back(rows.text_at(row, pg::kOnlyColumn));
            return types;
        });
    });
}

// Unparks one job for each key that is free now, and never waits: a key whose lock a claim has, because it is parking a
// job of that key just now, is left to the sweep.
void free_keys(FreedKeys keys) {
    std::sort(keys.begin(), keys.end());
    keys.erase(std::unique(keys.begin(), keys.end()), keys.end());
    keys.resize(std::min(keys.size(), kMostFreed));
    Oid const queue = tables::live_table_oid(pg::schema());
    for (auto const &[tenant, key] : keys) {
        if (!tables::try_lock_key(queue, tenant, key))
            continue;
        pg::Rows const moved =
            pg::execute(kUnpark, {pg::of(std::string_view(tenant)), pg::of(std::string_view(key))});
        if (!moved.empty())
            lane_filled(tenant, 1, core::range_of(moved.int64_at(0, pg::kOnlyColumn)));
    }
}

int64 unpark_type(std::string_view type, OnlyTenants only) {
    pg::Rows const moved =
        pg::execute(kUnparkType, {pg::of(type), pg::of(int32{kJobsPerSweep}), array_of(only)});
    int64 jobs = 0;
    for (size_t row = 0; row < moved.size(); ++row) {
        lane_filled(moved.text_at(row, UnparkedJobs::tenant), moved.int64_at(row, UnparkedJobs::jobs),
                    range_in(moved, row, UnparkedJobs::first_place));
        jobs += moved.int64_at(row, UnparkedJobs::jobs);
    }
    return jobs;
}

void unpark(OnlyTenants only) {
    pg::with_spi([&] {
        unpark_keys(only);
        unpark_types(only);
    });
}

} // namespace fairq::queue
