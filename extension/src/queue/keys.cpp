// Concurrency keys and paused types: the jobs that stand in the way of others are parked, out of the lane,
// and come back when their key is free or their type goes on.
#include "pg/table_cache.hpp"
#include "queue/limits.hpp"
#include "queue/statements.hpp"
#include "tables/tenant_lock.hpp"

namespace fairq::queue {

namespace {

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

// The next own tenant's first key, from that tenant on: others' keys are stepped over, however many they are.
SweptTo first_of(const std::vector<std::string> &tenants, const std::string &tenant) {
    auto const next = std::lower_bound(tenants.begin(), tenants.end(), tenant);
    return next == tenants.end() ? SweptTo{} : SweptTo{*next, ""};
}

void unpark_keys(OnlyTenants only) {
    SweptTo &place = swept_to();
    for (int i = 0; i < kKeysPerSweep; ++i) {
        pg::check_interrupts();
        pg::Rows const next = pg::execute(sql::kNextParkedKey, {pg::of(std::string_view(place.tenant)),
                                                                pg::of(std::string_view(place.key))});
        if (next.empty()) {
            place = {};
            return;
        }
        place = {next.text_at(0, 1), next.text_at(0, 2)};
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
        pg::Rows const next = pg::execute(sql::kNextParkedType, {pg::of(std::string_view(type))});
        if (next.empty())
            return;
        type = next.text_at(0, 1);
        if (!is_paused_type(type))
            unpark_type(type, only);
    }
}

} // namespace

const std::vector<std::string> &paused_types() {
    static pg::table_cache::Copy<std::vector<std::string>> copy;
    return copy.get(tables::relation_in(pg::schema(), "paused_job_types"), [] {
        return pg::with_spi([] {
            pg::Rows const rows = pg::read_as_of_snapshot(sql::kPausedTypes);
            std::vector<std::string> types;
            for (size_t row = 0; row < rows.size(); ++row)
                types.push_back(rows.text_at(row, 1));
            return types;
        });
    });
}

// One job for each key that is free now. Nobody waits: whose lock is taken, because a claim is parking a job
// of that key just now, is left to the sweep.
void free_keys(FreedKeys keys) {
    std::sort(keys.begin(), keys.end());
    keys.erase(std::unique(keys.begin(), keys.end()), keys.end());
    keys.resize(std::min(keys.size(), kMostFreed));
    Oid const queue = tables::live_table_oid(pg::schema());
    for (auto const &[tenant, key] : keys) {
        if (!tables::try_lock_key(queue, tenant, key))
            continue;
        pg::Rows const moved =
            pg::execute(sql::kUnpark, {pg::of(std::string_view(tenant)), pg::of(std::string_view(key))});
        if (!moved.empty())
            lane_filled(tenant, 1, core::range_of(moved.int64_at(0, 1)));
    }
}

int64 unpark_type(std::string_view type, OnlyTenants only) {
    pg::Rows const moved =
        pg::execute(sql::kUnparkType, {pg::of(type), pg::of(int32{kJobsPerSweep}), array_of(only)});
    int64 jobs = 0;
    for (size_t row = 0; row < moved.size(); ++row) {
        lane_filled(moved.text_at(row, 2), moved.int64_at(row, 1), range_in(moved, row, 3));
        jobs += moved.int64_at(row, 1);
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
