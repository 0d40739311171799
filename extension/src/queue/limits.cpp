// A tenant's limits: setting them, and knowing them. Each process keeps a copy of the rows it has met, and of
// the tenants that it knows to have none, until tenant_limits changes.
#include "queue/limits.hpp"

#include "pg/table_cache.hpp"
#include "shared/name_hash.hpp"
#include "shared/waiters/waiters.hpp"
#include "tables/limits_table.hpp"
#include "tables/live_columns.hpp"

#include <memory>

namespace fairq::queue {

namespace {

// SQL is laid out by hand.
// clang-format off

// tenant, weight, max_concurrency, rate, burst, max_pending, paused, enqueue rate and burst: NULL leaves, 0 removes
// → has it a rate?, an enqueue rate? It waits for the one before it and goes on from what that one left. One statement:
// between two statements, another session could delete the row.
const pg::Statement kSetLimits{pg::Plan::pinned, R"(
INSERT INTO @tenant_limits AS l (tenant_id, weight, max_concurrency, rate_per_second, burst, max_pending, paused,
                                 enqueue_rate_per_second, enqueue_burst, cap_pending_since)
VALUES ($1, coalesce($2, 1), nullif($3, 0), nullif($4, 0),
        CASE WHEN $4 > 0 THEN coalesce($5, greatest(1, ceil($4))::integer) END, nullif($6, 0), coalesce($7, false),
        nullif($8, 0), CASE WHEN $8 > 0 THEN coalesce($9, greatest(1, ceil($8))::integer) END,
        CASE WHEN $3 > 0 THEN '0'::xid8 END)
    ON CONFLICT (tenant_id) DO UPDATE
   SET weight = coalesce($2, l.weight),
       max_concurrency = nullif(coalesce($3, l.max_concurrency), 0),
       rate_per_second = nullif(coalesce($4, l.rate_per_second), 0),
       burst = CASE WHEN coalesce($4, l.rate_per_second) > 0
                    THEN coalesce($5, l.burst, greatest(1, ceil($4))::integer) END,
       max_pending = nullif(coalesce($6, l.max_pending), 0),
       paused = coalesce($7, l.paused),
       enqueue_rate_per_second = nullif(coalesce($8, l.enqueue_rate_per_second), 0),
       enqueue_burst = CASE WHEN coalesce($8, l.enqueue_rate_per_second) > 0
                            THEN coalesce($9, l.enqueue_burst, greatest(1, ceil($8))::integer) END,
       cap_pending_since = CASE WHEN $3 = 0 THEN NULL
                                WHEN $3 > 0 AND l.max_concurrency IS NULL THEN '0'::xid8
                                ELSE l.cap_pending_since END
RETURNING rate_per_second IS NOT NULL, enqueue_rate_per_second IS NOT NULL)", {TEXTOID, INT4OID, INT4OID, FLOAT8OID, INT4OID, INT8OID, BOOLOID, FLOAT8OID, INT4OID}};
struct ChangedLimits {
    enum Column { has_rate = 1, has_enqueue_rate };
};

// tenant, side. A row that another transaction has locked stays; without the rate it is not read.
const pg::Statement kDropRate{pg::Plan::pinned, R"(
DELETE FROM @tenant_rates
 WHERE ctid = ANY (ARRAY(SELECT ctid FROM @tenant_rates WHERE tenant_id = $1 AND side = $2 FOR UPDATE SKIP LOCKED)))", {TEXTOID, TEXTOID}};

const pg::Statement kPauseType{pg::Plan::pinned, "INSERT INTO @paused_job_types (job_type) VALUES ($1) ON CONFLICT DO NOTHING", {TEXTOID}};

const pg::Statement kIsPausedType{pg::Plan::pinned, "SELECT FROM @paused_job_types WHERE job_type = $1", {TEXTOID}};

const pg::Statement kResumeType{pg::Plan::pinned, "DELETE FROM @paused_job_types WHERE job_type = $1", {TEXTOID}};

// tenant. Rows that another transaction is folding stay; the next count takes them into account.
const pg::Statement kDropPending{pg::Plan::pinned, R"(
DELETE FROM @tenant_pending
 WHERE ctid = ANY (ARRAY(SELECT ctid FROM @tenant_pending WHERE tenant_id = $1 FOR UPDATE SKIP LOCKED)))", {TEXTOID}};

// clang-format on

constexpr size_t kMostKept = 200000; // tenants: some 30 MB

constexpr TenantLimits kUnlimited;

std::optional<core::Rate> rate_of(std::optional<double> per_second, std::optional<int32> burst) {
    return per_second && burst ? std::optional<core::Rate>({*per_second, *burst}) : std::nullopt;
}

std::unique_ptr<TenantLimits> limits_in(const std::optional<tables::LimitsRow> &row) {
    if (!row)
        return nullptr;
    return std::make_unique<TenantLimits>(
        TenantLimits{row->weight, row->max_concurrency, rate_of(row->rate_per_second, row->burst),
                     rate_of(row->enqueue_rate_per_second, row->enqueue_burst), row->max_pending, row->paused,
                     row->cap_pending});
}

class KnownLimits {
public:
    // Of many tenants each step along a bucket is a miss of the processor's cache.
    KnownLimits() { tenants_.max_load_factor(0.5F); }

    // Begins anew when the table may have changed. The number is read before any row is.
    void refresh() {
        Oid const schema = pg::schema();
        if (schema == schema_ && generation_ == pg::table_cache::generation(table_))
            return;
        schema_ = InvalidOid; // until all is known: an error below leaves nothing half known
        tenants_.clear();
        table_ = tables::relation_in(schema, "tenant_limits");
        generation_ = pg::table_cache::generation(table_);
        any_ = any_in(schema, kByTenant);
        any_pending_ = any_ && any_in(schema, "tenant_limits_pending");
        schema_ = schema;
    }

    const TenantLimits &of(std::string_view tenant) {
        if (!any_)
            return kUnlimited;
        std::string name(tenant);
        auto found = tenants_.find(name);
        if (found == tenants_.end()) {
            if (tenants_.size() >= kMostKept)
                tenants_.clear();
            found = tenants_.emplace(std::move(name), read(tenant)).first;
        }
        return found->second ? *found->second : kUnlimited;
    }

    bool any() const { return any_; }
    bool any_pending() const { return any_pending_; }

private:
    static constexpr char kByTenant[] = "tenant_limits_pkey";

    static bool any_in(Oid schema, const char *index) {
        tables::LimitsTable table(schema, index);
        bool const any = table.any();
        table.finish();
        return any;
    }

    std::unique_ptr<TenantLimits> read(std::string_view tenant) const {
        tables::LimitsTable table(schema_, kByTenant);
        std::unique_ptr<TenantLimits> limits = limits_in(table.find(tenant));
        table.finish();
        return limits;
    }

    Oid schema_ = InvalidOid, table_ = InvalidOid;
    std::uint64_t generation_ = 0;
    bool any_ = false, any_pending_ = false;
    shared::NameMap<std::unique_ptr<TenantLimits>> tenants_; // null: has no row
};

KnownLimits &known_limits() {
    static KnownLimits known;
    known.refresh();
    return known;
}

bool is_paused(std::string_view job_type) {
    return !pg::execute(kIsPausedType, {pg::of(job_type)}).empty();
}

// The table keeps a burst only beside its rate.
void refuse_burst_alone(const std::string &side, std::optional<int32> burst, bool has_rate) {
    if (burst && !has_rate)
        pg::raise_bad_argument(side + "burst is " + std::to_string(*burst) + " without a rate",
                               "Give " + side + "rate_per_second as well.");
}

// While a verb writes to tenant_limits or paused_job_types: the verb tells the ring whom its change concerns.
class ToldByVerb {
public:
    ToldByVerb() { ++depth; }
    ~ToldByVerb() { --depth; }
    ToldByVerb(const ToldByVerb &) = delete;
    ToldByVerb &operator=(const ToldByVerb &) = delete;
    static bool any() { return depth > 0; }

private:
    inline static int depth = 0;
};

void tell_rules_changed() {
    Oid const queue = tables::live_table_oid(pg::schema());
    shared::ring::rules_changed(queue);
    shared::waiters::rules_changed(queue);
}

} // namespace

void rules_written(std::uint32_t table) {
    if (ToldByVerb::any())
        return;
    Oid const queue = tables::live_table_oid(pg::schema());
    if (table == tables::relation_in(pg::schema(), "tenant_limits"))
        shared::ring::open_all_at_commit(queue, core::HoldReason::limits);
    else if (table == tables::relation_in(pg::schema(), "paused_job_types"))
        shared::ring::open_all_at_commit(queue, core::HoldReason::jobs);
    else
        return;
    tell_rules_changed();
}

const TenantLimits &limits_of(std::string_view tenant) {
    return known_limits().of(tenant);
}

bool limits_are_used() {
    return known_limits().any();
}

bool pending_is_used() {
    return known_limits().any_pending();
}

void set_tenant_limits(std::string_view tenant, const LimitChanges &changes) {
    if (changes.weight)
        shared::ring::weigh_at_commit(tables::live_table_oid(pg::schema()), tenant, *changes.weight);
    shared::ring::open_at_commit(tables::live_table_oid(pg::schema()), tenant);
    tell_rules_changed();
    ToldByVerb const told;
    pg::with_spi([&] {
        pg::Value const name = pg::of(tenant);
        pg::Rows const set = pg::execute(
            kSetLimits, {name, pg::of(changes.weight), pg::of(changes.max_concurrency), pg::of(changes.rate),
                         pg::of(changes.burst), pg::of(changes.max_pending), pg::of(changes.paused),
                         pg::of(changes.enqueue_rate), pg::of(changes.enqueue_burst)});
        if (set.empty())
            pg::raise_row_swallowed("tenant_limits");
        refuse_burst_alone("", changes.burst, set.bool_at(0, ChangedLimits::has_rate));
        refuse_burst_alone("enqueue_", changes.enqueue_burst,
                           set.bool_at(0, ChangedLimits::has_enqueue_rate));
        if (changes.rate == 0.0)
            pg::execute(kDropRate, {name, pg::of(std::string_view("claim"))});
        if (changes.enqueue_rate == 0.0)
            pg::execute(kDropRate, {name, pg::of(std::string_view("enqueue"))});
        if (changes.max_pending && *changes.max_pending > 0)
            count_pending(tenant);
        else if (changes.max_pending)
            pg::execute(kDropPending, {name});
    });
}

bool pause_job_type(std::string_view job_type) {
    shared::ring::rules_changed(tables::live_table_oid(pg::schema()));
    ToldByVerb const told;
    return pg::with_spi([&] {
        return pg::until_it_holds("paused_job_types", [&]() -> std::optional<bool> {
            if (!pg::execute(kPauseType, {pg::of(job_type)}).empty())
                return true;
            return is_paused(job_type) ? std::optional(false) : std::nullopt; // resumed meanwhile?
        });
    });
}

bool resume_job_type(std::string_view job_type) {
    shared::ring::open_all_at_commit(tables::live_table_oid(pg::schema()), core::HoldReason::jobs);
    tell_rules_changed();
    ToldByVerb const told;
    return pg::with_spi([&] {
        bool const resumed = pg::until_it_holds("paused_job_types", [&]() -> std::optional<bool> {
            if (!pg::execute(kResumeType, {pg::of(job_type)}).empty())
                return true;
            return is_paused(job_type) ? std::nullopt : std::optional(false); // paused meanwhile?
        });
        unpark_type(job_type); // the first of its jobs; housekeeping does the rest
        return resumed;
    });
}

} // namespace fairq::queue
