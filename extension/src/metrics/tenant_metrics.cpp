// What each tenant has, gets and is due: the tenants with most queued jobs by name, the rest summed. Only for the named
// tenants the tables are read; the rest is summed from the ring.
#include "metrics/metrics.hpp"
#include "queue/access.hpp"
#include "queue/limits.hpp"

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

QueuedCounts in_flight() {
    return pg::with_spi([] {
        pg::Rows const rows = pg::execute(kInFlight);
        QueuedCounts jobs;
        for (size_t row = 0; row < rows.size(); ++row)
            jobs.emplace(rows.text_at(row, InFlight::tenant), rows.int64_at(row, InFlight::jobs));
        return jobs;
    });
}

// Takes the tenant's number out, so that the numbers that stay belong to tenants that were not asked for.
int64 take_out(QueuedCounts &queued, const std::string &tenant) {
    auto const found = queued.find(tenant);
    if (found == queued.end())
        return 0;
    int64 const jobs = found->second;
    queued.erase(found);
    return jobs;
}

// All tenants that have a lane in the ring, queued jobs, or running jobs.
class Everybody {
public:
    Everybody(shared::ring::Figures figures, const Counts &counts) : running_(in_flight()) {
        if (counts.queued_counts)
            queued_counts_ = *counts.queued_counts;
        else
            shared::queued_counts::add_pending(queued_counts_);
        bool const kept = !counts.queued_counts;
        for (shared::ring::LaneFigures &lane : figures.lanes)
            add(std::move(lane), kept);
        while (!queued_counts_.empty())
            add({queued_counts_.begin()->first, 0, 0, 0, 1, 0, false}, kept);
        while (!running_.empty())
            add({running_.begin()->first, 0, 0, 0, 1, 0, false}, kept);
    }

    std::vector<Tenant> all;

private:
    void add(shared::ring::LaneFigures lane, bool kept) {
        Tenant tenant;
        tenant.depth = std::max<int64>(0, (kept ? lane.queued : 0) + take_out(queued_counts_, lane.tenant));
        tenant.in_flight = take_out(running_, lane.tenant);
        tenant.weight = lane.weight;
        tenant.served = lane.served;
        tenant.due = lane.due_last_minute;
        tenant.got = lane.got_last_minute;
        tenant.waiting = lane.waiting ? 1 : 0;
        tenant.name = std::move(lane.tenant);
        all.push_back(std::move(tenant));
    }

    QueuedCounts running_, queued_counts_;
};

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

// Only for the tenants that are named.
void look_up(std::vector<Tenant> &tenants) {
    std::vector<tables::LaneFront> lanes;
    for (Tenant &tenant : tenants) {
        if (tenant.name.empty())
            continue;
        queue::TenantLimits const &limits = queue::limits_of(tenant.name);
        tenant.weight = limits.weight;
        tenant.cap = limits.max_concurrency ? int64{*limits.max_concurrency} : kNone;
        lanes.push_back({tenant.name, tenant.in_flight});
    }
    TimestampTz const now = pg::now();
    std::vector<std::optional<TimestampTz>> const fronts = tables::lane_fronts(pg::schema(), lanes);
    for (size_t i = 0; i < fronts.size(); ++i)
        tenants[i].age = fronts[i] ? std::max<int64>(0, now - *fronts[i]) / core::kSecond : kNone;
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
    Shown result{Everybody(figures, counts).all, 0, counts.queued_counts || figures.queued_counts_known};
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
    look_up(result.tenants);
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

} // namespace

TenantFigures tenants(const Counts &counts) {
    shared::ring::Figures const figures = shared::ring::figures(tables::live_table_oid(pg::schema()));
    Shown const all = shown(figures, counts, std::nullopt);
    TenantFigures result;
    result.json = pg::with_spi([&] { return only_value(execute(kTenantsJson, all)); });
    result.depths = source_of(counts, figures);
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
