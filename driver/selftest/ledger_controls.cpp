// ledger_controls.cpp: every column of the ledger, and every standing gate, broken once. What the queue would have to do
// wrong is done to its tables by SQL, when the load is over and before the account is taken.
#include <fmt/format.h>

#include "selftest/selftest.hpp"

namespace fairq::driver::selftest {
namespace {

using judge::Outcome;

const std::string kLimits = "timeout = \"60s\"\nat_rest = \"20s\"\n";
const std::string kLoad = "enqueue = { rate = \"200/s\", duration = \"200ms\", tenants = 2, work_ms = 1 }\n";
const std::string kWorkers = "workers = { kind = \"external\", workers = 4, batch = 2 }\n";
const std::string kTicks = "workers = { kind = \"tick\", workers = 2, every = \"10ms\" }\n";
const std::string kSound = kLimits + kLoad + kWorkers;
const std::string kHistory = "history = true\n";
const std::string kCalls =
    "calls = { name = \"c\", connections = 1, rate = \"20/s\", duration = \"500ms\", sql = ";

/// The job that was enqueued first.
const std::string kFirst = " WHERE id = (SELECT min(id) FROM ${schema}.job_history)";

std::string after(const std::string &sql) {
    return "after = ['''" + sql + "''']\n";
}

/// A copy of the first job with another id and key.
std::string stranger(const std::string &key) {
    return "INSERT INTO ${schema}.job_history SELECT (jsonb_populate_record(h, jsonb_build_object("
           "'id', 999999999, 'idempotency_key', '" +
           key + "'))).* FROM ${schema}.job_history AS h" + kFirst;
}

/// Two locked jobs of a tenant, there for a moment: no claim would have made them.
std::string two_locked(const std::string &columns, const std::string &values) {
    return "INSERT INTO ${schema}.job_live (tenant_id, job_type, priority, run_at, max_attempts, timeout, "
           "created_at, payload, "
           "status, locked_by, locked_at, lock_token, updated_at, " +
           columns +
           ") SELECT 'tenant', 'selftest', 0, now(), 1, interval '1 minute', now(), '{}', 'locked', "
           "'nobody', now(), 4711, "
           "now(), " +
           values + " FROM generate_series(1, 2) AS n";
}

std::string statements(const std::vector<std::string> &all) {
    std::string text = "after = [";
    for (const std::string &sql : all)
        text += "'''" + sql + "''', ";
    return text + "]\n";
}

const std::string kForget = "DELETE FROM ${schema}.job_live WHERE job_type = 'selftest'";

std::string gate(const std::string &metric, const std::string &expect, const std::string &more = "") {
    return fmt::format("[[gates]]\nid = \"G\"\nmetric = \"{}\"\nexpect = \"{}\"\n{}", metric, expect, more);
}

std::vector<Control> sound() {
    return {
        {"sound", "nothing", kSound + kHistory, "", {}, {}, Outcome::pass},
        {"sound",
         "nothing, with workers inside the server",
         kLimits + kLoad + kTicks,
         "",
         {},
         {},
         Outcome::pass},
    };
}

std::vector<Control> missing_and_double() {
    return {
        {"lost",
         "an acknowledged job is deleted",
         kSound + after("DELETE FROM ${schema}.job_history" + kFirst),
         "",
         {"lost"},
         {},
         Outcome::broken},
        {"duplicated",
         "a job is there twice",
         kSound + after("INSERT INTO ${schema}.job_history SELECT * FROM ${schema}.job_history" + kFirst),
         "",
         {"duplicated"},
         {},
         Outcome::broken},
        {"duplicated",
         "a message is sent twice",
         kLimits + kLoad + kTicks +
             after(
                 "INSERT INTO ${schema}.channel_outbox (job_id, tenant_id, channel, idempotency_key, copy) "
                 "SELECT job_id, "
                 "tenant_id, channel, idempotency_key, 2 FROM ${schema}.channel_outbox ORDER BY id LIMIT 1"),
         "",
         {"duplicated"},
         {},
         Outcome::broken},
    };
}

std::vector<Control> strangers() {
    return {
        {"unexpected",
         "a job has the run's name, and nobody enqueued it",
         kSound + after(stranger("${run_id}-9-9")),
         "",
         {"unexpected"},
         {},
         Outcome::broken},
        {"foreign",
         "somebody else's load-test job",
         kSound + after(stranger("other")),
         gate("foreign", "value==0"),
         {},
         {"foreign"},
         Outcome::inconclusive},
        {"outbox",
         "a message is gone",
         kLimits + kLoad + kTicks +
             after("DELETE FROM ${schema}.channel_outbox WHERE id = (SELECT min(id) FROM "
                   "${schema}.channel_outbox)"),
         "",
         {"outbox"},
         {},
         Outcome::broken},
    };
}

std::vector<Control> unfinished() {
    return {
        {"stuck",
         "there are no workers",
         "timeout = \"60s\"\nat_rest = \"1s\"\n" + kLoad,
         "",
         {"stuck"},
         {"phases_complete_ratio"},
         Outcome::broken},
        {"unfinished",
         "there are no workers, and little time",
         "timeout = \"1s\"\nat_rest = \"20s\"\n" + kLoad,
         "",
         {},
         {"phases_complete_ratio", "unfinished"},
         Outcome::inconclusive},
    };
}

std::vector<Control> order_and_leaks() {
    return {
        {"early",
         "a job was claimed before it was to run",
         kSound + after("UPDATE ${schema}.job_history SET run_at = locked_at + interval '1 minute'" + kFirst),
         "",
         {"early"},
         {},
         Outcome::broken},
        {"out_of_order",
         "the first job is of the second stage",
         kSound +
             after("UPDATE ${schema}.job_history SET run_id = 7, stage = CASE WHEN id = (SELECT min(id) FROM "
                   "${schema}.job_history) THEN 2 ELSE 1 END"),
         "",
         {"out_of_order"},
         {},
         Outcome::broken},
        {"leaks",
         "a lease is left",
         kSound + after("INSERT INTO ${schema}.job_leases VALUES (4711, 'nobody', clock_timestamp(), now() - "
                        "interval '1 hour', "
                        "ARRAY[1])"),
         "",
         {"leaks"},
         {},
         Outcome::broken},
    };
}

std::vector<Control> commits() {
    return {
        {"cap_violations",
         "a commit locks two jobs of a tenant with a cap of one",
         kSound + kHistory +
             "before = [\"INSERT INTO ${schema}.tenant_limits (tenant_id, max_concurrency) VALUES ('tenant', "
             "1)\"]\n" +
             statements({two_locked("running_since, running_position", "now(), n"), kForget}),
         "",
         {"cap_violations{phase:p}"},
         {},
         Outcome::broken},
        {"key_violations",
         "a commit locks two jobs of a concurrency key",
         kSound + kHistory +
             statements({"ALTER TABLE ${schema}.job_live DROP CONSTRAINT job_live_held",
                         two_locked("concurrency_key, position", "'key', n"), kForget}),
         "",
         {"key_violations{phase:p}"},
         {},
         Outcome::broken},
        {"lease_overlaps",
         "a job that is locked is locked again",
         kSound + kHistory +
             statements({two_locked("position", "n"),
                         "UPDATE ${schema}.job_live SET lock_token = 4712 WHERE job_type = 'selftest' AND id "
                         "% 2 = 0",
                         kForget}),
         "",
         {"lease_overlaps{phase:p}"},
         {},
         Outcome::broken},
    };
}

std::vector<Control> workers() {
    return {
        {"dead_letters",
         "every attempt fails, and there is only one",
         kLimits + "workers = { kind = \"external\", workers = 4, batch = 2, fail = 1 }\n" + kCalls +
             "\"\"\"SELECT ${schema}.enqueue_job('${tenant}', 'load_test', '{}', idempotency_key "
             "=> '${key}', max_attempts => 1)\"\"\", enqueues = true }\n",
         "",
         {"dead_letters"},
         {},
         Outcome::broken},
        {"executed_again",
         "one of ten attempts fails",
         kLimits + kLoad + "workers = { kind = \"external\", workers = 4, batch = 2, fail = 0.1 }\n",
         gate("executed_again", "value==0"),
         {"executed_again"},
         {},
         Outcome::fail},
    };
}

std::vector<Control> callers() {
    return {
        {"calls_failed",
         "a statement that cannot be",
         kSound + kCalls + "\"SELECT 1/0\" }\n",
         "",
         {"calls_failed{phase:p}"},
         {},
         Outcome::fail},
        {"offered_ratio",
         "calls that take too long to be sent in time",
         kSound + kCalls + "\"SELECT pg_sleep(1)\" }\n",
         "",
         {},
         {"offered_ratio{phase:p}"},
         Outcome::inconclusive},
        {"held_ratio",
         "the session of a holder is cut",
         kSound + "holders = { sql = \"SELECT 1\" }\n" + kCalls +
             "\"SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = "
             "'fairq holder "
             "${run_id}'\" }\n",
         "",
         {},
         {"held_ratio{phase:p}"},
         Outcome::inconclusive},
        {"abort_on_fail",
         "a gate that cannot hold ends a long load",
         kLimits + "enqueue = { rate = \"20/s\", duration = \"50s\", tenants = 2 }\n",
         gate("poll_ms", "max<0", "abort_on_fail = true\ndelay_abort_eval = \"500ms\"\n"),
         {"poll_ms"},
         {"offered_ratio{phase:p}", "phases_complete_ratio", "unfinished"},
         Outcome::fail},
    };
}

} // namespace

std::vector<Control> ledger_controls() {
    std::vector<Control> all;
    for (const std::vector<Control> &more : {sound(), missing_and_double(), strangers(), unfinished(),
                                             order_and_leaks(), commits(), workers(), callers()})
        all.insert(all.end(), more.begin(), more.end());
    return all;
}

} // namespace fairq::driver::selftest
