// neighbours.cpp: see neighbours.hpp. Workers are known by what they say, by the leases that they hold, and
// by schedules that start them.
#include "db/neighbours.hpp"

#include <fmt/format.h>

namespace fairq::driver::db {
namespace {

constexpr const char *kSessions = R"(
    SELECT format('%s, a session of %s (pid %s)', coalesce(nullif(application_name, ''), backend_type), usename, pid)
      FROM pg_stat_activity
     WHERE datname = current_database() AND pid <> pg_backend_pid() AND query !~ 'pg_stat_activity'
       AND query ~* '(claim_queued_jobs|complete_and_claim_jobs|wait_for_jobs|run_job_queue_(cron|parallel|ticks)) *\('
       AND (state <> 'idle' OR state_change > now() - interval '1 minute')
     ORDER BY pid LIMIT 3)";

constexpr const char *kLeases = R"(
    SELECT format('worker %s, which holds jobs since %s', worker_id, to_char(min(locked_at), 'HH24:MI:SS')) FROM {}.job_leases
     WHERE heartbeat_at > now() - interval '1 minute' GROUP BY worker_id ORDER BY worker_id LIMIT 3)";

constexpr const char *kSchedules = R"(
    SELECT format('the cron job %s', jobname) FROM cron.job
     WHERE active AND database = current_database() AND command ~ 'run_job_queue_(cron|parallel|ticks)' ORDER BY jobid LIMIT 3)";

void add(std::vector<std::string> &claimers, const Rows &rows) {
    for (const Row &row : rows)
        claimers.push_back(row[0].value_or("?"));
}

} // namespace

Neighbours find_neighbours(Database &database, const std::string &schema) {
    Neighbours found;
    found.unfinished_jobs =
        std::stoll(database
                       .scalar(fmt::format("SELECT count(*) FROM (SELECT FROM {}.job_live WHERE job_type <> "
                                           "'load_test' LIMIT 1000000) AS j",
                                           schema))
                       .value_or("0"));
    found.finished_jobs =
        database.scalar(fmt::format(
            "SELECT EXISTS (SELECT FROM {}.job_history WHERE job_type <> 'load_test')", schema)) == Cell("t");
    add(found.claimers, database.query(kSessions));
    add(found.claimers, database.query(fmt::format(kLeases, schema)));
    if (database.scalar("SELECT to_regclass('cron.job')"))
        add(found.claimers, database.query(kSchedules));
    return found;
}

} // namespace fairq::driver::db
