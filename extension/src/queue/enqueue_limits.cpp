// Back-pressure: what a tenant's enqueue_rate and max_pending let in. Enqueues of a tenant with a rate wait
// for each other until their transactions end, so the rate is exact and a rollback gives back what it took.
// An enqueue never waits for max_pending: it counts the jobs that have been committed and those of its own transaction.
#include "queue/limits.hpp"

#include <cmath>
#include <map>

namespace fairq::queue {

namespace {

// SQL is laid out by hand.
// clang-format off

// tenants in the order of their names, now → tenant, due; locks the rows until the transaction ends
const pg::Statement kLockRates{pg::Plan::pinned, R"(
INSERT INTO @tenant_rates AS r (tenant_id, side, due_at)
SELECT i.tenant, 'enqueue', $2 FROM unnest($1) AS i (tenant)
    ON CONFLICT (tenant_id, side) DO UPDATE SET due_at = r.due_at
RETURNING tenant_id, due_at)", {TEXTARRAYOID, TIMESTAMPTZOID}};
struct LockedRate {
    enum Column { tenant = 1, due };
};

// tenant, due
const pg::Statement kChargeRate{pg::Plan::pinned,
    "UPDATE @tenant_rates SET due_at = $2 WHERE tenant_id = $1 AND side = 'enqueue'", {TEXTOID, TIMESTAMPTZOID}};

// clang-format on

constexpr size_t kMostNamed = 100; // tenants in an error's detail

// What a tenant with limits asks for, and gets.
struct Demand {
    TenantLimits limits;
    int wanted = 0, by_pending = 0, by_rate = 0, seen = 0;
    Waiting waiting{0, false};
    TimestampTz due = 0; // GCRA's theoretical arrival time

    int admitted() const { return std::min(by_pending, by_rate); }
    int refused() const { return wanted - admitted(); }
};
using Demands = std::map<std::string_view, Demand>; // rates are locked in this order
using Names = std::vector<std::string_view>;

// Leaves out tenants that have neither an enqueue rate nor a max_pending.
Demands demands_of(const Names &tenants) {
    Demands demands;
    for (std::string_view const tenant : tenants) {
        auto found = demands.find(tenant);
        if (found == demands.end()) {
            const TenantLimits &limits = limits_of(tenant);
            if (!limits.enqueue_rate && !limits.max_pending)
                continue;
            found = demands.emplace(tenant, Demand{limits}).first;
        }
        ++found->second.wanted;
    }
    return demands;
}

template <class Chosen>
Names names_of(const Demands &demands, Chosen chosen) {
    Names names;
    for (auto const &[tenant, demand] : demands)
        if (chosen(demand))
            names.push_back(tenant);
    return names;
}

bool has_rate(const Demand &demand) {
    return demand.limits.enqueue_rate.has_value();
}
bool has_max_pending(const Demand &demand) {
    return demand.limits.max_pending.has_value();
}

void lock_rates(Demands &demands) {
    Names const names = names_of(demands, has_rate);
    if (names.empty())
        return;
    pg::Rows const rows = pg::execute(kLockRates, {pg::of(names), pg::of_time(pg::now())});
    if (rows.size() != names.size())
        pg::raise_row_swallowed("tenant_rates");
    for (size_t row = 0; row < rows.size(); ++row)
        demands.at(rows.text_at(row, LockedRate::tenant)).due = rows.time_at(row, LockedRate::due);
}

void count_waiting(Demands &demands) {
    Names const names = names_of(demands, has_max_pending);
    if (names.empty())
        return;
    std::vector<Waiting> const waiting = waiting_jobs(names);
    for (size_t i = 0; i < names.size(); ++i)
        demands.at(names[i]).waiting = waiting[i];
}

void decide(Demands &demands, TimestampTz now) {
    for (auto &[tenant, demand] : demands) {
        demand.by_pending = demand.by_rate = demand.wanted;
        if (has_max_pending(demand)) {
            int64 const room = std::max<int64>(0, *demand.limits.max_pending - demand.waiting.jobs);
            demand.by_pending = static_cast<int>(std::min<int64>(demand.wanted, room));
        }
        if (has_rate(demand))
            demand.by_rate = core::admitted(*demand.limits.enqueue_rate, demand.due, now, demand.wanted);
    }
}

void charge(const Demands &demands, TimestampTz now) {
    Names tenants;
    Ids changes;
    for (auto const &[tenant, demand] : demands) {
        if (demand.admitted() == 0)
            continue;
        tenants.push_back(tenant);
        changes.push_back(demand.admitted());
        if (has_rate(demand))
            pg::execute_all(kChargeRate, "tenant_rates", 1,
                            {pg::of(tenant), pg::of_time(core::charged(*demand.limits.enqueue_rate,
                                                                       demand.due, now, demand.admitted()))});
        if (demand.waiting.to_fold)
            fold_pending(tenant);
    }
    pending_changed(tenants, changes);
}

// ------------------------------------------------------------------------------------------ the error

// Whether max_pending refuses the tenant's jobs, and not the rate: the limit counts that lets fewer jobs in.
bool by_pending(const Demand &demand) {
    return demand.by_pending <= demand.by_rate && has_max_pending(demand);
}

// Milliseconds until all wanted jobs fit. When claims will make room below max_pending is not known: it is guessed
// from the tenant's rate of claims, or is a second.
int64 retry_after(const Demand &demand, TimestampTz now) {
    if (!by_pending(demand)) {
        int64 const at = core::admits_at(*demand.limits.enqueue_rate, demand.due, now, demand.wanted);
        return (std::max<int64>(0, at - now) + core::kMillisecond - 1) / core::kMillisecond;
    }
    double const too_many = static_cast<double>(demand.waiting.jobs + demand.wanted) -
                            static_cast<double>(*demand.limits.max_pending);
    double const seconds = demand.limits.rate ? too_many / demand.limits.rate->per_second : 1;
    return static_cast<int64>(std::ceil(std::clamp(seconds, 1.0, 1e9) * 1000));
}

std::string seconds(int64 milliseconds) {
    std::string const fraction = std::to_string(1000 + milliseconds % 1000).substr(1);
    return std::to_string(milliseconds / 1000) + (fraction == "000" ? "" : "." + fraction);
}

std::string number(double value) {
    char text[32];
    snprintf(text, sizeof text, "%.15g", value);
    return text;
}

std::string members(std::string_view tenant, const Demand &demand, TimestampTz now) {
    std::string json = "\"tenant\": " + pg::json_string(tenant);
    if (by_pending(demand))
        json += ", \"limit\": \"max_pending\", \"waiting\": " + std::to_string(demand.waiting.jobs) +
                ", \"max_pending\": " + std::to_string(*demand.limits.max_pending);
    else
        json += ", \"limit\": \"enqueue_rate\", \"enqueue_rate_per_second\": " +
                number(demand.limits.enqueue_rate->per_second) +
                ", \"enqueue_burst\": " + std::to_string(demand.limits.enqueue_rate->burst);
    return json + ", \"retry_after_seconds\": " + seconds(retry_after(demand, now));
}

[[noreturn]] void refuse_one(std::string_view tenant, const Demand &demand, TimestampTz now) {
    pg::raise_tenant_limit("tenant \"" + std::string(tenant) + "\" has reached its " +
                               (by_pending(demand) ? "max_pending" : "enqueue_rate_per_second"),
                           "{" + members(tenant, demand, now) + "}");
}

[[noreturn]] void refuse_all(const Demands &demands, size_t jobs, TimestampTz now) {
    int64 refused = 0, longest = 0;
    size_t tenants = 0;
    std::string list, first;
    for (auto const &[tenant, demand] : demands) {
        if (demand.refused() == 0)
            continue;
        if (tenants++ == 0)
            first = tenant;
        refused += demand.refused();
        longest = std::max(longest, retry_after(demand, now));
        if (tenants <= kMostNamed)
            list += (list.empty() ? "{" : ", {") + members(tenant, demand, now) +
                    ", \"refused\": " + std::to_string(demand.refused()) + "}";
    }
    std::string const others = tenants > 1 ? " and " + std::to_string(tenants - 1) + " more" : "";
    pg::raise_tenant_limit(std::to_string(refused) + " of " + std::to_string(jobs) +
                               " jobs refused: over the limits of tenant \"" + first + "\"" + others,
                           "{\"refused\": " + std::to_string(refused) + ", \"retry_after_seconds\": " +
                               seconds(longest) + ", \"tenants\": [" + list + "]}");
}

// The last ones of each tenant are refused.
std::vector<size_t> refused_places(Demands &demands, const Names &tenants) {
    std::vector<size_t> places;
    for (size_t i = 0; i < tenants.size(); ++i) {
        auto const found = demands.find(tenants[i]);
        if (found != demands.end() && found->second.seen++ >= found->second.admitted())
            places.push_back(i);
    }
    return places;
}

} // namespace

std::vector<size_t> admit(const std::vector<std::string_view> &tenants, Call call) {
    if (!limits_are_used())
        return {};
    Demands demands = demands_of(tenants);
    if (demands.empty())
        return {};
    lock_rates(demands);
    count_waiting(demands);
    TimestampTz const now = pg::now();
    decide(demands, now);
    auto const is_refused = [](auto const &entry) { return entry.second.refused() > 0; };
    auto const refused = std::find_if(demands.begin(), demands.end(), is_refused);
    if (refused != demands.end() && call == Call::single)
        refuse_one(refused->first, refused->second, now);
    if (refused != demands.end() && call == Call::bulk)
        refuse_all(demands, tenants.size(), now);
    charge(demands, now);
    return refused == demands.end() ? std::vector<size_t>{} : refused_places(demands, tenants);
}

} // namespace fairq::queue
