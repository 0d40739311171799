// What an operator should look at: one row for each rule, with its value and its thresholds. The rules are in the script
// (fairq_alert_rules), their values here, and the thresholds that an operator has set in alert_thresholds.
#include "metrics/metrics.hpp"

#include "pg/settings.hpp"
#include "queue/handlers.hpp"

namespace fairq::metrics {

namespace {

// SQL is laid out by hand.
// clang-format off

// age of the oldest queued job or NULL, dead jobs, handlers that cannot run, when a lease is stale → the rules' rows
const pg::Statement kAlerts{pg::Plan::open, R"(
SELECT rule, CASE WHEN value >= a.critical THEN 'critical' WHEN value >= a.warning THEN 'warning' ELSE 'ok' END,
       value, a.warning, a.critical, unit, meaning
  FROM @fairq_alert_rules() AS r
  LEFT JOIN @alert_thresholds t USING (rule)
 CROSS JOIN LATERAL (SELECT coalesce(t.warning, r.warning), coalesce(t.critical, r.critical)) AS a (warning, critical)
 CROSS JOIN LATERAL (SELECT CASE rule
       WHEN 'oldest_queued_age' THEN $1
       WHEN 'dead_jobs' THEN $2
       WHEN 'stale_leases' THEN (SELECT count(*) FROM (SELECT FROM @job_leases WHERE locked_at < $4 AND heartbeat_at < $4 LIMIT 10000) AS s)
       WHEN 'housekeeping_failing' THEN (SELECT count(*) FROM (SELECT FROM @housekeeping_failures LIMIT 10000) AS f)
       WHEN 'handlers_gone' THEN $3
       WHEN 'connections' THEN (SELECT 100.0 * count(*) FROM pg_stat_activity WHERE backend_type = 'client backend')
                               / current_setting('max_connections')::float8
       WHEN 'notification_queue' THEN 100 * pg_notification_queue_usage()
       WHEN 'oldest_transaction' THEN (SELECT max(extract(epoch FROM clock_timestamp() - begun))
                                         FROM (SELECT xact_start FROM pg_stat_activity
                                                WHERE coalesce(backend_xmin, backend_xid) IS NOT NULL AND pid <> pg_backend_pid()
                                               UNION ALL SELECT prepared FROM pg_prepared_xacts) AS x (begun))
       WHEN 'dead_rows' THEN pg_stat_get_dead_tuples('@job_live'::regclass)
       WHEN 'default_partition' THEN (SELECT sum(pg_relation_size(c.oid))
                                        FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
                                       WHERE i.inhparent = '@job_history'::regclass
                                         AND pg_get_expr(c.relpartbound, c.oid) = 'DEFAULT')
       END::float8) AS v (value)
 ORDER BY rule)", {INT8OID, INT8OID, INT8OID, TIMESTAMPTZOID}};

const pg::Statement kRules{pg::Plan::open, "SELECT string_agg(rule, ', ' ORDER BY rule), bool_or(rule = $1) FROM @fairq_alert_rules()", {TEXTOID}};
struct Rules {
    enum Column { names = 1, known };
};

// rule, warning or NULL, critical or NULL
const pg::Statement kSetThreshold{pg::Plan::pinned, R"(
INSERT INTO @alert_thresholds (rule, warning, critical) VALUES ($1, $2, $3)
    ON CONFLICT (rule) DO UPDATE SET warning = excluded.warning, critical = excluded.critical)", {TEXTOID, FLOAT8OID, FLOAT8OID}};

// clang-format on

} // namespace

void queue_alerts(ReturnSetInfo *rows) {
    Counts const now = counts(false);
    pg::Value const age = oldest_age(false);
    auto const dead = now.jobs.by_status[0][static_cast<size_t>(queue::JobStatus::dead)];
    TimestampTz const stale_before = pg::now() - 2 * pg::settings::lease_timeout();
    pg::with_spi([&] {
        pg::Rows const result =
            pg::execute(kAlerts, {age, pg::of(std::max<int64>(dead, 0)), pg::of(queue::gone_handlers()),
                                  pg::of_time(stale_before)});
        for (size_t row = 0; row < result.size(); ++row)
            result.put(row, rows);
    });
}

void set_alert_threshold(std::string_view rule, std::optional<double> warning,
                         std::optional<double> critical) {
    pg::with_spi([&] {
        pg::Rows const rules = pg::execute(kRules, {pg::of(rule)});
        if (!rules.bool_at(0, Rules::known))
            pg::raise_bad_argument("rule is \"" + std::string(rule) + "\"",
                                   "The rules are " + rules.text_at(0, Rules::names) + ".");
        pg::execute_all(kSetThreshold, "alert_thresholds", 1,
                        {pg::of(rule), pg::of(warning), pg::of(critical)});
    });
}

} // namespace fairq::metrics
