// Tenant-bound roles (see access.hpp). Every session keeps a copy of queue_access: while the table is empty, a
// call only checks that its copy is.
#include "queue/access.hpp"

#include "pg/caller.hpp"
#include "pg/table_cache.hpp"
#include "tables/live_columns.hpp"
#include "tables/owner.hpp"

namespace fairq::queue {

namespace {

// SQL is laid out by hand.
// clang-format off

// → role, capability, tenant (NULL: all)
const pg::Statement kAccess{pg::Plan::open, "SELECT role::oid::bigint, capability, tenant_id FROM @queue_access"};
struct AccessRow {
    enum Column { role = 1, capability, tenant };
};

// id, tenants → a row, if the job is unfinished and of one of these tenants
const pg::Statement kIsJobOfTenants{pg::Plan::pinned,
    "SELECT FROM @job_live WHERE id = $1 AND tenant_id = ANY ($2)", {INT8OID, TEXTARRAYOID}};

// id, tenants, since when → the same for a finished job
const pg::Statement kWasJobOfTenants{pg::Plan::by_values,
    "SELECT FROM @job_history WHERE id = $1 AND tenant_id = ANY ($2) AND finished_at >= $3 LIMIT 1", {INT8OID, TEXTARRAYOID, TIMESTAMPTZOID}};

// ids, tenants → the ids of unfinished jobs of these tenants
const pg::Statement kJobsOfTenants{pg::Plan::pinned, R"(
SELECT j.id FROM unnest($1) AS a (id) JOIN @job_live j ON j.id = a.id WHERE j.tenant_id = ANY ($2))", {INT8ARRAYOID, TEXTARRAYOID}};

// token, now, tenants → as kHeartbeat. A lease that also holds a job of another tenant gets no heartbeat from a role
// that is bound to these: otherwise the role could keep that job from being reclaimed.
const pg::Statement kHeartbeatOfTenants{pg::Plan::pinned, R"(
WITH held AS (
    SELECT count(*)::integer AS jobs, bool_and(j.tenant_id = ANY ($3)) AS theirs
      FROM @job_leases l, unnest(l.job_ids) AS a (id) JOIN @job_live j ON j.id = a.id AND j.lock_token = $1
     WHERE l.lock_token = $1
), beat AS (
    UPDATE @job_leases SET heartbeat_at = $2 WHERE lock_token = $1 AND (SELECT theirs FROM held) RETURNING lock_token
)
SELECT CASE WHEN theirs THEN jobs ELSE 0 END, coalesce(theirs, false) AND NOT EXISTS (SELECT FROM beat) FROM held)", {INT8OID, TIMESTAMPTZOID, TEXTARRAYOID}};

// tenants → the jobs of these tenants, in the columns of job_queue, under the name j; conditions may follow. The
// condition with OR is true of every job (see the CHECKs of job_live): it makes the planner use the indexes by
// tenant, and that of the lanes in all queues.
constexpr char kMyJobs[] = R"(
SELECT * FROM (
    SELECT id, queue, tenant_id, job_type, priority, run_at, max_attempts, timeout, idempotency_key, concurrency_key, run_id, stage,
           created_at, payload, status, attempts, locked_by, locked_at, lock_token, last_error, updated_at
      FROM @job_live
     WHERE tenant_id = ANY ($1)
       AND ((position IS NOT NULL AND queue = ANY ()" FAIRQ_QUEUES R"()) OR (parked_position IS NOT NULL AND concurrency_key IS NOT NULL)
            OR (parked_position IS NOT NULL AND concurrency_key IS NULL) OR running_since IS NOT NULL
            OR due_at IS NOT NULL OR run_id IS NOT NULL)
    UNION ALL
    SELECT id, queue, tenant_id, job_type, priority, run_at, max_attempts, timeout, idempotency_key, concurrency_key, run_id, stage,
           created_at, payload, status, attempts, locked_by, locked_at, lock_token, last_error, finished_at
      FROM @job_history
     WHERE tenant_id = ANY ($1)) AS j)";
// id → the unfinished job, in the columns of job_queue
const pg::Statement kReadLive{pg::Plan::pinned, "SELECT " FAIRQ_BEFORE_STATUS ", status, " FAIRQ_AFTER_STATUS
    ", last_error, updated_at FROM @job_live WHERE id = $1", {INT8OID}};

// id, since when → the same of a finished job
const pg::Statement kReadFinished{pg::Plan::by_values, "SELECT " FAIRQ_BEFORE_STATUS ", status, " FAIRQ_AFTER_STATUS
    ", last_error, finished_at FROM @job_history WHERE id = $1 AND finished_at >= $2 LIMIT 1", {INT8OID, TIMESTAMPTZOID}};

// The same for a caller who may see all jobs; it does not use its parameter.
constexpr char kAllJobs[] = "SELECT * FROM @job_queue AS j";

// clang-format on

struct Row {
    Oid role;
    Capability capability;
    std::optional<std::string> tenant; // none: all
};
using Rows = std::vector<Row>;

constexpr std::string_view kNames[] = {"producer", "worker", "operator", "monitor"};

std::string_view name_of(Capability capability) {
    return kNames[static_cast<size_t>(capability)];
}

Capability capability_of(std::string_view name) {
    auto const found = std::find(std::begin(kNames), std::end(kNames), name);
    return static_cast<Capability>(found - std::begin(kNames)); // a CHECK allows no other name
}

bool covers(Capability granted, Capability needed) {
    return granted == needed || (granted == Capability::operations && needed == Capability::monitor);
}

Rows read_rows() {
    Rows rows;
    pg::as_role(tables::owner_of_extension(pg::schema()), [&] {
        pg::with_spi([&] {
            pg::Rows const found = pg::read_as_of_snapshot(kAccess);
            for (size_t i = 0; i < found.size(); ++i)
                rows.push_back({static_cast<Oid>(found.int64_at(i, AccessRow::role)),
                                capability_of(found.text_at(i, AccessRow::capability)),
                                found.is_null(i, AccessRow::tenant)
                                    ? std::nullopt
                                    : std::optional<std::string>(found.text_at(i, AccessRow::tenant))});
        });
    });
    return rows;
}

const Rows &all_rows() {
    static pg::table_cache::Copy<Rows> copy;
    return copy.get(tables::relation_in(pg::schema(), "queue_access"), read_rows);
}

std::string quoted_role(Oid role) {
    return "role \"" + pg::role_name(role) + "\"";
}

[[noreturn]] void raise_no_capability(Oid role, Capability capability) {
    std::string const name(name_of(capability));
    pg::raise_not_allowed(quoted_role(role) + " has no capability \"" + name + "\"",
                          "It has others, so this one has to be given with grant_queue_access(role, '" +
                              name + "').");
}

// The caller's role, and the session's when it is another one.
std::vector<Oid> roles() {
    Oid const caller = pg::calling_role(), outer = pg::outer_role();
    return caller == outer ? std::vector<Oid>{caller} : std::vector<Oid>{caller, outer};
}

bool contains(const Tenants &tenants, std::string_view tenant) {
    return !tenants || std::binary_search(tenants->begin(), tenants->end(), tenant, std::less<>());
}

// What those rows grant whose role the given role has the rights of. An empty list: it has other capabilities only.
Tenants tenants_of(Capability capability, Oid role) {
    const Rows &rows = all_rows();
    if (rows.empty() || pg::role_is_superuser(role) ||
        pg::has_rights_of(role, tables::owner_of_extension(pg::schema())))
        return std::nullopt;
    bool has_rows = false;
    std::vector<std::string> tenants;
    for (Row const &row : rows) {
        if (!pg::has_rights_of(role, row.role))
            continue;
        has_rows = true;
        if (!covers(row.capability, capability))
            continue;
        if (!row.tenant)
            return std::nullopt;
        tenants.push_back(*row.tenant);
    }
    if (!has_rows)
        return std::nullopt;
    std::sort(tenants.begin(), tenants.end());
    tenants.erase(std::unique(tenants.begin(), tenants.end()), tenants.end());
    return tenants;
}

// The same; raises an error if the role does not have the capability for any tenant.
Tenants granted_tenants(Capability capability, Oid role) {
    Tenants tenants = tenants_of(capability, role);
    if (tenants && tenants->empty())
        raise_no_capability(role, capability);
    return tenants;
}

void check(const Tenants &allowed, std::string_view tenant, Oid role) {
    if (!contains(allowed, tenant))
        pg::raise_not_allowed(quoted_role(role) + " may not use tenant \"" + std::string(tenant) + "\"",
                              "It is bound to the tenants that grant_queue_access named for it.");
}

} // namespace

pg::Value array_of(OnlyTenants tenants) {
    return tenants == nullptr ? pg::Value{}
                              : pg::of(std::vector<std::string_view>(tenants->begin(), tenants->end()));
}

bool is_unbound(Capability capability, Oid role) {
    return !tenants_of(capability, role);
}

Tenants bound_tenants(Capability capability) {
    Tenants common;
    for (Oid const role : roles()) {
        Tenants granted = granted_tenants(capability, role);
        if (common && granted) {
            auto const foreign = [&](auto const &tenant) { return !contains(granted, tenant); };
            common->erase(std::remove_if(common->begin(), common->end(), foreign), common->end());
        } else if (granted) {
            common = std::move(granted);
        }
    }
    return common;
}

void check_tenant(Capability capability, std::string_view tenant) {
    for (Oid const role : roles())
        check(granted_tenants(capability, role), tenant, role);
}

void check_tenants(Capability capability, Datum tenants) {
    for (Oid const role : roles())
        if (Tenants const allowed = granted_tenants(capability, role))
            for (std::string_view const tenant : pg::texts_of(tenants))
                check(allowed, tenant, role);
}

void check_unbound(Capability capability) {
    for (Oid const role : roles())
        if (granted_tenants(capability, role))
            pg::raise_not_allowed(quoted_role(role) + " is bound to tenants, and this concerns all of them",
                                  "Ask a role whose capability \"" + std::string(name_of(capability)) +
                                      "\" has no tenant.");
}

void check_job(Capability capability, int64 job_id) {
    Tenants const tenants = bound_tenants(capability);
    if (!tenants)
        return;
    pg::with_spi([&] {
        pg::Value const id = pg::of(job_id), names = array_of(&*tenants);
        if (pg::execute(kIsJobOfTenants, {id, names}).empty() &&
            pg::execute(kWasJobOfTenants, {id, names, since_recently()}).empty())
            pg::raise_unknown_job(job_id);
    });
}

// Runs before the verb locks anything, so that a role never waits for another tenant's job. That is safe because a job
// never changes its tenant.
Ids jobs_of(const Tenants &tenants, Ids job_ids) {
    if (!tenants)
        return job_ids;
    return pg::with_spi([&] {
        return ids_in(pg::execute(kJobsOfTenants, {pg::of(job_ids), array_of(&*tenants)}));
    });
}

int32 heartbeat_of(const Tenants &tenants, int64 lock_token) {
    if (!tenants)
        return heartbeat(lock_token);
    return beat([&] {
        return pg::execute(kHeartbeatOfTenants,
                           {pg::of(lock_token), pg::of_time(pg::now()), array_of(&*tenants)});
    });
}

int64 redrive_of(const Tenants &tenants, const pg::Value &job_type, int max_jobs, TimestampTz dead_since) {
    if (!tenants)
        return redrive(pg::Value{}, job_type, max_jobs, dead_since);
    int64 redriven = 0;
    for (std::string const &tenant : *tenants)
        if (redriven < max_jobs)
            redriven += redrive(pg::of(std::string_view(tenant)), job_type,
                                max_jobs - static_cast<int>(redriven), dead_since);
    return redriven;
}

void read_job(int64 job_id, ReturnSetInfo *rows) {
    pg::with_spi([&] {
        pg::Rows job = pg::execute(kReadLive, {pg::of(job_id)});
        if (job.empty())
            job = pg::execute(kReadFinished, {pg::of(job_id), since_recently()});
        if (!job.empty())
            job.put(0, rows);
    });
}

void read_jobs_of(const Tenants &tenants, const std::string &conditions, ReturnSetInfo *rows) {
    std::string text = pg::in_schema(tenants ? kMyJobs : kAllJobs);
    if (!conditions.empty())
        text.append(" WHERE ").append(conditions);
    pg::with_spi([&] {
        pg::stream_as_of_snapshot(text, TEXTARRAYOID, array_of(tenants ? &*tenants : nullptr), rows);
    });
}

} // namespace fairq::queue
