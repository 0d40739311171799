// queue_client.cpp: every statement that the driver sends about jobs, written with
// ${schema} and qualified in one place.
#include "db/queue_client.hpp"

#include <algorithm>
#include <set>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "errors.hpp"

namespace fairq::driver::db {
namespace {

using nlohmann::json;

long long to_integer(const Cell &cell) {
    return cell ? std::stoll(*cell) : 0;
}

json parse_object(const std::string &text, const char *what) {
    json parsed = json::parse(text, nullptr, false);
    if (!parsed.is_object())
        throw DatabaseError(fmt::format("{} is not a JSON object: {}", what, text.substr(0, 80)), "", false);
    return parsed;
}

std::vector<std::string> first_column(const Rows &rows) {
    std::vector<std::string> texts;
    for (const Row &row : rows)
        texts.push_back(row[0].value_or(""));
    return texts;
}

} // namespace

long long QueueSnapshot::count(const std::string &status) const {
    const auto found = by_status.find(status);
    return found == by_status.end() ? 0 : found->second;
}

long long QueueSnapshot::unfinished() const {
    return count("blocked") + count("scheduled") + count("queued") + count("locked");
}

QueueSnapshot parse_snapshot(const std::string &text) {
    const json object = parse_object(text, "get_load_test_metrics()");
    try {
        QueueSnapshot snapshot;
        for (const auto &[status, count] : object.at("queue_stats").items())
            snapshot.by_status[status] = count.get<long long>();
        if (const json &oldest = object.at("oldest_queued_age_seconds"); !oldest.is_null())
            snapshot.oldest_queued_seconds = oldest.get<double>();
        snapshot.duplicates = object.at("duplicate_count").get<long long>();
        return snapshot;
    } catch (const json::exception &error) {
        throw DatabaseError(fmt::format("get_load_test_metrics(): {}", error.what()), "", false);
    }
}

Tick parse_tick(const std::string &text) {
    const json object = parse_object(text, "a tick's details");
    try {
        Tick tick;
        tick.claimed = object.at("claimed").get<long long>();
        tick.completed = object.at("completed").get<long long>();
        tick.failed = object.at("failed").get<long long>();
        tick.ms = object.at("ms").get<double>();
        for (const auto &[tenant, count] : object.at("tenants").items())
            tick.tenants[tenant] = count.get<long long>();
        return tick;
    } catch (const json::exception &error) {
        throw DatabaseError(fmt::format("a tick's details: {}", error.what()), "", false);
    }
}

ServerInfo inspect_server(Database &database) {
    const Rows rows = database.query(R"(
        SELECT quote_ident(n.nspname), e.extversion FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
         WHERE e.extname = 'fairq')");
    if (rows.empty())
        throw SetupError(
            "fairq is not in this database: run CREATE EXTENSION fairq in it (installed on the server by "
            "make && sudo make install), or name no database for a throw-away cluster");
    ServerInfo info;
    info.schema = rows[0][0].value_or("public");
    info.extension = rows[0][1].value_or("");
    if (info.extension != FAIRQ_VERSION)
        throw SetupError(fmt::format(
            "this database has fairq {}, and this driver belongs to fairq {}: run ALTER EXTENSION fairq "
            "UPDATE in it, or the driver of {}",
            info.extension, FAIRQ_VERSION, info.extension));
    for (const Row &row : database.query(R"(
        SELECT name, current_setting(name) FROM pg_settings
         WHERE name IN ('server_version', 'fsync', 'synchronous_commit', 'shared_buffers', 'max_worker_processes'))"))
        info.settings[row[0].value_or("")] = row[1].value_or("");
    const std::string version = info.settings["server_version"];
    info.version = version.substr(0, version.find(' '));
    info.settings.erase("server_version");
    info.place = database
                     .scalar(R"(
        SELECT format('database %I of the server at %s port %s', current_database(),
                      coalesce(host(inet_server_addr()), current_setting('unix_socket_directories', true), 'a socket'),
                      current_setting('port')))")
                     .value_or("");
    return info;
}

std::string QueueClient::resolved(std::string text) const {
    for (const auto &[place, value] :
         {std::pair<std::string, const std::string &>("${schema}", schema_), {"${run_id}", run_id_}})
        for (std::size_t at = text.find(place); at != std::string::npos;
             at = text.find(place, at + value.size()))
            text.replace(at, place.size(), value);
    return text;
}

Rows QueueClient::query(const std::string &sql, const std::vector<std::string> &params) {
    return database_.query(resolved(sql), params);
}

Cell QueueClient::scalar(const std::string &sql, const std::vector<std::string> &params) {
    const Rows rows = query(sql, params);
    return rows.empty() ? Cell{} : rows[0].at(0);
}

void QueueClient::run(const std::string &sql) {
    query(sql);
}

std::string QueueClient::server_time() {
    return scalar("SELECT clock_timestamp()").value_or("");
}

long long QueueClient::clear() {
    return to_integer(scalar("SELECT ${schema}.clear_load_test_data();"));
}

long long QueueClient::seed(long long jobs, long long tenants) {
    const std::string sql = fmt::format("SELECT ${{schema}}.seed_load_test_jobs({}, {});", jobs, tenants);
    return to_integer(scalar(sql));
}

std::vector<long long> QueueClient::enqueue(const std::vector<std::string> &tenants,
                                            const std::vector<std::string> &payloads,
                                            const std::vector<std::string> &keys) {
    std::vector<long long> ids;
    for (const Row &row : query(R"(
        SELECT ${schema}.enqueue_jobs($1::text[], 'load_test', $2::jsonb[], idempotency_keys => $3::text[]))",
                                {array_literal(tenants), array_literal(payloads), array_literal(keys)}))
        ids.push_back(to_integer(row[0]));
    return ids;
}

QueueSnapshot QueueClient::snapshot() {
    return parse_snapshot(scalar("SELECT ${schema}.get_load_test_metrics();").value_or(""));
}

bool QueueClient::any_unfinished() {
    return scalar(R"(
        SELECT EXISTS (SELECT FROM ${schema}.job_queue
                        WHERE job_type = 'load_test' AND status IN ('blocked', 'scheduled', 'queued', 'locked')))") ==
           Cell("t");
}

bool QueueClient::any_jobs() {
    return scalar("SELECT EXISTS (SELECT FROM ${schema}.job_queue WHERE job_type = 'load_test')") ==
           Cell("t");
}

bool QueueClient::work_may_run() {
    return scalar(R"(
        SELECT EXISTS (SELECT FROM ${schema}.job_queue WHERE job_type = 'load_test'
                        AND (status IN ('queued', 'locked') OR (status = 'scheduled' AND run_at <= now())))
            OR NOT EXISTS (SELECT FROM ${schema}.job_queue WHERE job_type = 'load_test' AND status = 'scheduled'))") ==
           Cell("t");
}

long long QueueClient::newest_job() {
    return to_integer(scalar("SELECT max(id) FROM ${schema}.job_queue"));
}

void QueueClient::each_seeded(long long after, long long tenants,
                              const std::function<void(long long, const std::string &)> &take) {
    const std::string sql = R"(
        SELECT id, tenant_id FROM ${schema}.job_queue
         WHERE job_type = 'load_test' AND idempotency_key IS NULL AND payload ? 'n' AND payload ->> 'work_ms' = '10'
           AND tenant_id LIKE 'tenant-%' AND id > )";
    std::set<std::string> names;
    for (long long tenant = 1; tenant <= tenants; ++tenant)
        names.insert(fmt::format("tenant-{}", tenant));
    database_.stream(resolved(sql) + std::to_string(after) + " ORDER BY id", [&](const Row &row) {
        if (names.count(row[1].value_or("")) != 0)
            take(to_integer(row[0]), *row[1]);
    });
}

void QueueClient::each_job(const std::string &server_time,
                           const std::function<void(const judge::JobRow &)> &take) {
    const std::string sql = R"(
        SELECT coalesce(j.id, m.job_id), j.tenant_id, j.status, j.idempotency_key, j.status <> 'scheduled' OR j.run_at <= now(),
               coalesce(m.messages, 0), coalesce(j.attempts, 0), j.run_at > j.created_at AND j.locked_at < j.run_at - interval '1 second', j.run_id, j.stage,
               (extract(epoch FROM j.locked_at) * 1000000)::bigint, (extract(epoch FROM j.updated_at) * 1000000)::bigint
          FROM (SELECT * FROM ${schema}.job_queue WHERE job_type = 'load_test') AS j
          FULL JOIN (SELECT o.job_id, count(*) AS messages FROM ${schema}.channel_outbox AS o
                      WHERE o.job_id IS NOT NULL AND o.created_at >= )" +
                            quote_literal(server_time) + R"(::timestamptz
                        AND (o.channel = 'load_test'
                             OR EXISTS (SELECT FROM ${schema}.job_queue AS q WHERE q.id = o.job_id AND q.job_type = 'load_test'))
                      GROUP BY o.job_id) AS m ON m.job_id = j.id
         ORDER BY 1)";
    database_.stream(resolved(sql), [&](const Row &row) {
        judge::JobRow job{to_integer(row[0]),  row[1].value_or(""), row[2].value_or(""), row[3].value_or(""),
                          row[4] != Cell("f"), to_integer(row[5]),  to_integer(row[6])};
        job.early = row[7] == Cell("t");
        job.pipeline_run = to_integer(row[8]);
        job.stage = static_cast<int>(to_integer(row[9]));
        job.claimed_at = to_integer(row[10]);
        job.ended_at = to_integer(row[11]);
        take(job);
    });
}

std::optional<DrainTimes> QueueClient::drain_times() {
    const Rows rows = query(R"(
        SELECT extract(epoch FROM max(updated_at) - min(locked_at)), count(*) FROM ${schema}.job_queue
         WHERE job_type = 'load_test' AND status = 'completed')");
    if (rows.empty() || !rows[0][0])
        return std::nullopt;
    return DrainTimes{std::stod(*rows[0][0]), to_integer(rows[0][1])};
}

OutboxDuplicates QueueClient::outbox_duplicates() {
    OutboxDuplicates found;
    found.anybodys = to_integer(scalar(R"(
        SELECT COUNT(*) FROM (SELECT idempotency_key, COUNT(*) FROM ${schema}.channel_outbox
         WHERE created_at > now() - interval '1 hour' GROUP BY idempotency_key HAVING COUNT(*) > 1) dups;)"));
    const Rows own = query(R"(
        SELECT count(*) FILTER (WHERE copies > 1), coalesce(sum(copies), 0)
          FROM (SELECT count(*) AS copies FROM ${schema}.channel_outbox AS o
                 WHERE o.created_at > now() - interval '1 hour'
                   AND EXISTS (SELECT FROM ${schema}.job_queue AS j WHERE j.id = o.job_id AND j.job_type = 'load_test')
                 GROUP BY o.idempotency_key) AS k)");
    found.keys = to_integer(own.at(0)[0]);
    found.messages = to_integer(own.at(0)[1]);
    found.reported = std::max(0LL, snapshot().duplicates - (found.anybodys - found.keys));
    return found;
}

std::vector<Tick> QueueClient::ticks_since(const std::string &server_time) {
    std::vector<Tick> ticks;
    for (const Row &row : query(R"(
        SELECT details FROM ${schema}.campaign_audit_log
         WHERE event_type = 'job_queue_tick' AND created_at >= $1::timestamptz AND (details ->> 'load_test')::boolean
         ORDER BY created_at, id)",
                                {server_time}))
        ticks.push_back(parse_tick(row[0].value_or("")));
    return ticks;
}

std::map<std::string, int> QueueClient::caps() {
    std::map<std::string, int> caps;
    for (const Row &row : query("SELECT tenant_id, max_concurrency FROM ${schema}.tenant_limits "
                                "WHERE max_concurrency IS NOT NULL"))
        caps[row[0].value_or("")] = static_cast<int>(to_integer(row[1]));
    return caps;
}

std::vector<std::string> QueueClient::leaks(const std::string &server_time) {
    return first_column(query(R"(
        SELECT format('a lease of %s is left, and none of its jobs is locked', worker_id) FROM ${schema}.job_leases AS l
         WHERE locked_at >= $1::timestamptz -- sweeps delete it soon after it is stale
           AND heartbeat_at < now() - 3 * coalesce(current_setting('fairq.lease_timeout', true), '30s')::interval
           AND NOT EXISTS (SELECT FROM ${schema}.job_live AS j WHERE j.id = ANY (l.job_ids) AND j.lock_token = l.lock_token)
        UNION ALL
        SELECT format('the session %s of %s is left: %s', pid, application_name, state) FROM pg_stat_activity
         WHERE application_name ~ '^fairq (worker|load|calls|tick|holder|fault) ${run_id}$'
        UNION ALL
        SELECT format('the prepared transaction %s is left', gid) FROM pg_prepared_xacts
         WHERE database = current_database() AND prepared >= $1::timestamptz
        UNION ALL
        SELECT format('tenant %s counts %s pending jobs, and has %s', tenant_id, counted, there)
          FROM (SELECT tenant_id, sum(change) AS counted,
                       (SELECT count(*) FROM ${schema}.job_live AS j
                         WHERE j.tenant_id = p.tenant_id AND status IN ('blocked', 'scheduled', 'queued')) AS there
                  FROM ${schema}.tenant_pending AS p WHERE tenant_id LIKE '%${run_id}' GROUP BY tenant_id) AS t
         WHERE counted <> there)",
                              {server_time}));
}

StuckReport QueueClient::stuck_report() {
    StuckReport report;
    report.why = first_column(query(R"(
        SELECT format('job %s of %s: %s', id, tenant_id, left(${schema}.why_not_running(id)::text, 200))
          FROM (SELECT id, tenant_id FROM ${schema}.job_queue
                 WHERE job_type = 'load_test' AND status IN ('blocked', 'scheduled', 'queued', 'locked') ORDER BY id LIMIT 3) AS j)"));
    report.counts = first_column(query(R"(
        SELECT status || ' ' || count(*) FROM ${schema}.job_queue WHERE job_type = 'load_test'
         GROUP BY status ORDER BY status)"));
    report.oldest_locked = first_column(query(R"(
        SELECT format('job %s of %s, by %s, for %s s, attempt %s%s', id, tenant_id, locked_by,
                      round(extract(epoch FROM now() - locked_at)), attempts, ': ' || last_error)
          FROM ${schema}.job_queue WHERE job_type = 'load_test' AND status = 'locked' ORDER BY locked_at LIMIT 3)"));
    report.last_ticks = first_column(query(R"(
        SELECT to_char(created_at, 'HH24:MI:SS') || ' ' || left(details::text, 80) FROM ${schema}.campaign_audit_log
         WHERE event_type = 'job_queue_tick' ORDER BY created_at DESC LIMIT 5)"));
    return report;
}

} // namespace fairq::driver::db
