// run_lock.cpp: see run_lock.hpp.
#include "db/run_lock.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "errors.hpp"

namespace fairq::driver::db {
namespace {

// Two numbers that nobody else uses: 'fair' and 'load' in ASCII.
constexpr const char *kLock = "1717660018, 1819238756";

constexpr const char *kHolder = R"(
    SELECT format('%s, since %s, pid %s', a.application_name, to_char(a.backend_start, 'HH24:MI:SS'), a.pid)
      FROM pg_locks AS l JOIN pg_stat_activity AS a ON a.pid = l.pid
     WHERE l.locktype = 'advisory' AND l.classid = 1717660018 AND l.objid = 1819238756 AND l.objsubid = 2
       AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) AND l.granted)";

constexpr const char *kCreate[] = {
    "CREATE SCHEMA IF NOT EXISTS fairq_driver",
    "CREATE TABLE IF NOT EXISTS fairq_driver.runs (run_id text PRIMARY KEY, plan text NOT NULL, "
    "started_at timestamptz NOT NULL DEFAULT now(), cron_jobs text[] NOT NULL)"};

} // namespace

RunLock::RunLock(const std::string &conninfo, const std::string &run_id)
    : database_(conninfo, "run " + run_id) {}

void RunLock::take() {
    if (database_.scalar(fmt::format("SELECT pg_try_advisory_lock({})", kLock)) != Cell("t"))
        throw SetupError(
            fmt::format("another run goes on in this database ({}): wait for its end, or stop it",
                        database_.scalar(kHolder).value_or("just ended")));
    backend_ = database_.backend_pid();
}

void RunLock::keep() {
    database_.query("SELECT 1");
    if (database_.backend_pid() != backend_)
        take();
}

void RunNotes::add(const RunNote &note) {
    try {
        for (const char *sql : kCreate)
            database_.query(sql);
        all(); // whose is it?
        database_.query("INSERT INTO fairq_driver.runs (run_id, plan, cron_jobs) VALUES ($1, $2, $3::text[])",
                        {note.run_id, note.plan, array_literal(note.cron_jobs)});
    } catch (const DatabaseError &error) {
        if (error.sqlstate() != "42501")
            throw;
        throw SetupError(fmt::format(
            "cannot note in this database what the run makes, for fairq cleanup: {}; GRANT CREATE ON "
            "DATABASE … TO the role that runs it",
            error.what()));
    }
}

bool RunNotes::exists() {
    return database_.scalar("SELECT to_regclass('fairq_driver.runs')").has_value();
}

void RunNotes::remove(const std::string &run_id) {
    if (!exists())
        return;
    database_.query("DELETE FROM fairq_driver.runs WHERE run_id = $1", {run_id});
    if (database_.scalar("SELECT EXISTS (SELECT FROM fairq_driver.runs)") == Cell("f"))
        database_.query("DROP SCHEMA fairq_driver CASCADE");
}

std::vector<RunNote> RunNotes::all() {
    std::vector<RunNote> notes;
    if (!exists())
        return notes;
    const Cell stranger = database_.scalar(R"(
        SELECT max(owner) FROM (SELECT pg_get_userbyid(nspowner) AS owner FROM pg_namespace WHERE nspname = 'fairq_driver'
                                UNION ALL SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = 'fairq_driver.runs'::regclass)
          AS o WHERE owner <> current_user)");
    if (stranger)
        throw SetupError(fmt::format(
            "the schema fairq_driver, with the notes of earlier runs, belongs to {}: that role has to run "
            "fairq cleanup",
            *stranger));
    for (const Row &row : database_.query("SELECT run_id, plan, to_char(started_at, 'YYYY-MM-DD "
                                          "HH24:MI:SS'), array_to_string(cron_jobs, E'\\n') "
                                          "FROM fairq_driver.runs ORDER BY started_at")) {
        RunNote note{row[0].value_or(""), row[1].value_or(""), row[2].value_or(""), {}};
        const std::string names = row[3].value_or("");
        for (std::size_t from = 0; from < names.size();) {
            const std::size_t end = std::min(names.find('\n', from), names.size());
            note.cron_jobs.push_back(names.substr(from, end - from));
            from = end + 1;
        }
        notes.push_back(note);
    }
    return notes;
}

} // namespace fairq::driver::db
