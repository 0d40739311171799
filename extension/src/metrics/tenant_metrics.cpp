// What each tenant has, gets and is due: the tenants with most queued jobs by name, the rest summed. Only for the named
// tenants the tables are read; the rest is summed from the ring.
#include "metrics/metrics.hpp"
#include "queue/access.hpp"
#include "queue/limits.hpp"
#include "shared/name_hash.hpp"

namespace fairq::metrics {

namespace {

// SQL is laid out by hand.
// clang-format off

// → tenant, its locked jobs; reads the jobs of the open leases by their ids (OFFSET 0 keeps the planner from any other
// way)
const pg::Statement kInFlight{pg::Plan::pinned, R"(
SELECT j.tenant_id, count(*)
  FROM @job_leases l
 CROSS JOIN unnest(l.job_ids) AS a (id)
 CROSS JOIN LATERAL (SELECT tenant_id FROM @job_live WHERE id = a.id AND lock_token = l.lock_token OFFSET 0) AS j
 GROUP BY j.tenant_id)"};
struct InFlight {
    enum Column { tenant = 1, jobs };
};

// Arrays of tenants ('' for the rest) and their figures, -1 for none; shares in millionths.
#define FAIRQ_TENANT_FIGURES                                                                                           \
    "u.weight::integer, nullif(u.depth, -1) AS depth, nullif(u.served, -1) AS served, nullif(u.due, -1) / 1e6::float8 AS share_due, "         \
    "nullif(u.got, -1) / 1e6::float8 AS share_got, u.in_flight, nullif(u.cap, -1)::integer AS cap, "                    \
    "nullif(u.age, -1) AS oldest_claimable_age_seconds, nullif(u.waiting, -1) = 1 AS waiting_in_ring, "                 \
    "u.tenants::integer "                                                                                              \
    "FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) "                                                       \
    "AS u (tenant, weight, depth, served, due, got, in_flight, cap, age, waiting, tenants)"
#define FAIRQ_TENANT_ARRAYS                                                                                            \
    {TEXTARRAYOID, INT8ARRAYOID, INT8ARRAYOID, INT8ARRAYOID, INT8ARRAYOID, INT8ARRAYOID, INT8ARRAYOID,              \
         INT8ARRAYOID, INT8ARRAYOID, INT8ARRAYOID, INT8ARRAYOID}

const pg::Statement kTenantRows{pg::Plan::pinned, "SELECT nullif(u.tenant, ''), " FAIRQ_TENANT_FIGURES, FAIRQ_TENANT_ARRAYS};

const pg::Statement kTenantsJson{pg::Plan::pinned,
    "SELECT coalesce(jsonb_agg(to_jsonb(t)), '[]') FROM (SELECT nullif(u.tenant, '') AS tenant, " FAIRQ_TENANT_FIGURES ") AS t",
    FAIRQ_TENANT_ARRAYS};

// clang-format on

constexpr size_t kNamed = 50;
constexpr int64 kNone = -1;

// As the statements take it: kNone where there is nothing to tell.
struct Tenant {
    std::string name; // empty: the rest
    int64 weight = 0, depth = 0, served = 0;
    double due = 0, got = 0; // jobs, in the last minute
    int64 in_flight = 0, cap = kNone, age = kNone, waiting = kNone, tenants = 1;
};

shared::NameMap<int64> in_flight() {
    return pg::with_spi([] {
        pg::Rows const rows = pg::execute(kInFlight);
        shared::NameMap<int64> jobs;
        for (size_t row = 0; row < rows.size(); ++row)
            jobs.emplace(rows.text_at(row, InFlight::tenant), rows.int64_at(row, InFlight::jobs));
        return jobs;
    });
}

// What this call has counted; or what this transaction has changed, beside the numbers that the ring keeps.
QueuedCounts queued_counts(const Counts &counts) {
    if (counts.queued_counts)
        return *counts.queued_counts;
    QueuedCounts queued;
    shared::queued_counts::add_pending(queued);
    return queued;
}

// All tenants that have a lane in the ring, queued jobs, or running jobs, each over all queues.
std::vector<Tenant> everybody(const shared::ring::Figures &figures, const Counts &counts) {
    shared::NameMap<Tenant> by_name;
    auto const of = [&](const std::string &name) -> Tenant & {
        auto const [found, is_new] = by_name.try_emplace(name);
        if (is_new) {
            found->second.name = name;
            found->second.weight = 1;
            found->second.waiting = 0;
        }
        return found->second;
    };
    for (shared::ring::LaneFigures const &lane : figures.lanes) {
        Tenant &tenant = of(lane.tenant);
        tenant.depth += counts.queued_counts ? 0 : lane.queued;
        tenant.weight = lane.weight;
        tenant.served += lane.served;
        tenant.due += lane.due_last_minute;
        tenant.got += lane.got_last_minute;
        tenant.waiting = std::max<int64>(tenant.waiting, lane.waiting ? 1 : 0);
    }
    for (auto const &[lane, jobs] : queued_counts(counts))
        of(lane.tenant).depth += jobs;
    for (auto const &[tenant, jobs] : in_flight())
        of(tenant).in_flight = jobs;
    std::vector<Tenant> all;
    for (auto &[name, tenant] : by_name) {
        tenant.depth = std::max<int64>(tenant.depth, 0);
        all.push_back(std::move(tenant));
    }
    return all;
}

bool before(const Tenant &a, const Tenant &b) {
    return std::tie(b.depth, b.got, b.served, a.name) < std::tie(a.depth, a.got, a.served, b.name);
}

// Sums the tenants behind the named ones into one row.
void sum_rest(std::vector<Tenant> &all) {
    size_t const named = std::min(kNamed, all.size());
    std::partial_sort(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(named), all.end(), before);
    if (all.size() == named)
        return;
    Tenant rest;
    rest.tenants = static_cast<int64>(all.size() - named);
    for (size_t i = named; i < all.size(); ++i) {
        rest.weight += all[i].weight;
        rest.depth += all[i].depth;
        rest.served += all[i].served;
        rest.due += all[i].due;
        rest.got += all[i].got;
        rest.in_flight += all[i].in_flight;
    }
    all.resize(named);
    all.push_back(std::move(rest));
}

constexpr size_t kLanesLookedUp = 1000;

// The lanes of the tenants that are named: where they are in the vector, by the lanes.
using NamedLanes = std::map<core::OwnLaneName, size_t, core::LaneOrder>;
NamedLanes named_lanes(const std::vector<Tenant> &tenants, const shared::ring::Figures &figures,
                       const Counts &counts) {
    shared::NameMap<size_t> places;
    for (size_t i = 0; i < tenants.size(); ++i)
        if (!tenants[i].name.empty())
            places.emplace(tenants[i].name, i);
    NamedLanes lanes;
    auto const add = [&](core::LaneName lane) {
        auto const found = places.find(std::string(lane.tenant));
        if (found != places.end() && lanes.size() < kLanesLookedUp)
            lanes.emplace(lane, found->second);
    };
    for (shared::ring::LaneFigures const &lane : figures.lanes)
        add({lane.queue, lane.tenant});
    for (auto const &of : queued_counts(counts))
        add(of.first);
    return lanes;
}

// Only for the tenants that are named. The oldest claimable job of a tenant is the oldest of its lanes' first ones.
void look_up(std::vector<Tenant> &tenants, const NamedLanes &named) {
    for (Tenant &tenant : tenants) {
        if (tenant.name.empty())
            continue;
        queue::TenantLimits const &limits = queue::limits_of(tenant.name);
        tenant.weight = limits.weight;
        tenant.cap = limits.max_concurrency ? int64{*limits.max_concurrency} : kNone;
    }
    std::vector<tables::LaneFront> lanes;
    for (auto const &[lane, place] : named)
        lanes.push_back({lane, tenants[place].in_flight});
    TimestampTz const now = pg::now();
    std::vector<std::optional<TimestampTz>> const fronts = tables::lane_fronts(pg::schema(), lanes);
    auto front = fronts.begin();
    for (auto const &[lane, place] : named) {
        if (*front)
            tenants[place].age =
                std::max(tenants[place].age, std::max<int64>(0, now - **front) / core::kSecond);
        ++front;
    }
}

// Of all the jobs that the ring gave in the last minute, in millionths; none when there were none.
int64 share(double jobs, double all) {
    return all > 0 ? std::llround(jobs / all * 1e6) : kNone;
}

struct Shown {
    std::vector<Tenant> tenants;
    double got = 0; // by all
    bool queued_counts_known;
};

// To a caller who may see some tenants only, a share would tell how many jobs the other tenants got.
Shown shown(const shared::ring::Figures &figures, const Counts &counts, const queue::Tenants &of) {
    Shown result{everybody(figures, counts), 0, counts.queued_counts || figures.queued_counts_known};
    if (of) {
        auto const foreign = [&](auto &tenant) {
            return !std::binary_search(of->begin(), of->end(), tenant.name);
        };
        result.tenants.erase(std::remove_if(result.tenants.begin(), result.tenants.end(), foreign),
                             result.tenants.end());
    } else {
        for (Tenant const &tenant : result.tenants)
            result.got += tenant.got;
    }
    sum_rest(result.tenants);
    look_up(result.tenants, named_lanes(result.tenants, figures, counts));
    return result;
}

pg::Rows execute(const pg::Statement &statement, const Shown &all) {
    bool const ring = shared::ring::available();
    std::vector<std::string_view> names;
    std::array<queue::Ids, 10> of;
    for (Tenant const &tenant : all.tenants) {
        names.push_back(tenant.name);
        int64 const figures[] = {tenant.weight,
                                 all.queued_counts_known ? tenant.depth : kNone,
                                 ring ? tenant.served : kNone,
                                 share(tenant.due, all.got),
                                 share(tenant.got, all.got),
                                 tenant.in_flight,
                                 tenant.cap,
                                 tenant.age,
                                 ring ? tenant.waiting : kNone,
                                 tenant.tenants};
        for (size_t i = 0; i < of.size(); ++i)
            of[i].push_back(figures[i]);
    }
    return pg::execute(statement, {pg::of(names), pg::of(of[0]), pg::of(of[1]), pg::of(of[2]), pg::of(of[3]),
                                   pg::of(of[4]), pg::of(of[5]), pg::of(of[6]), pg::of(of[7]), pg::of(of[8]),
                                   pg::of(of[9])});
}

std::optional<int64> tenths_of_ms(std::optional<double> microseconds) {
    return microseconds ? std::optional(std::llround(*microseconds / 100)) : std::nullopt;
}

// Where the tenants' queued counts come from. in part: the ring has no room for all tenants.
std::string_view source_of(const Counts &counts, const shared::ring::Figures &figures) {
    if (counts.queued_counts)
        return counts.source == Source::counted ? "counted" : "kept";
    if (!figures.queued_counts_known)
        return "unknown";
    return figures.queued_counts_whole ? "kept" : "in part";
}

struct QueueDepth {
    std::string name;
    int64 depth = 0;
};

// Queued jobs by queue: those with the most, then the rest as one, without a name.
pg::Value depths_by_queue(const shared::ring::Figures &figures, const Counts &counts) {
    std::map<std::string, int64> depths;
    for (shared::ring::LaneFigures const &lane : figures.lanes)
        depths[lane.queue] += counts.queued_counts ? 0 : lane.queued;
    for (auto const &[lane, jobs] : queued_counts(counts))
        depths[lane.queue] += jobs;
    std::vector<QueueDepth> queues;
    for (auto const &[name, depth] : depths)
        queues.push_back({name, std::max<int64>(depth, 0)});
    std::stable_sort(queues.begin(), queues.end(), [](auto &a, auto &b) { return a.depth > b.depth; });
    int64 rest = 0;
    for (size_t i = kNamed; i < queues.size(); ++i)
        rest += queues[i].depth;
    std::string json;
    for (size_t i = 0; i < std::min(kNamed, queues.size()); ++i)
        json += (json.empty() ? "" : ", ") + ("{\"queue\": " + pg::json_string(queues[i].name)) +
                ", \"depth\": " + std::to_string(queues[i].depth) + "}";
    if (queues.size() > kNamed)
        json += ", {\"queue\": null, \"depth\": " + std::to_string(rest) +
                ", \"queues\": " + std::to_string(queues.size() - kNamed) + "}";
    return pg::of_jsonb("[" + json + "]");
}

} // namespace

TenantFigures tenants(const Counts &counts) {
    shared::ring::Figures const figures = shared::ring::figures(tables::live_table_oid(pg::schema()));
    Shown const all = shown(figures, counts, std::nullopt);
    TenantFigures result;
    result.json = pg::with_spi([&] { return only_value(execute(kTenantsJson, all)); });
    result.depths = source_of(counts, figures);
    if (all.queued_counts_known)
        result.queues = depths_by_queue(figures, counts);
    result.dwell_p50 = tenths_of_ms(core::wait_quantile(figures.dwell, 0.5));
    result.dwell_p99 = tenths_of_ms(core::wait_quantile(figures.dwell, 0.99));
    double jobs = 0;
    for (double const count : figures.dwell)
        jobs += count;
    result.dwell_jobs = std::llround(jobs);
    return result;
}

void tenant_metrics(ReturnSetInfo *rows, const queue::Tenants &of) {
    Counts const now = counts(true);
    Shown const all = shown(shared::ring::figures(tables::live_table_oid(pg::schema())), now, of);
    pg::with_spi([&] {
        pg::Rows const result = execute(kTenantRows, all);
        for (size_t row = 0; row < result.size(); ++row)
            result.put(row, rows);
    });
}

} // namespace fairq::metrics
