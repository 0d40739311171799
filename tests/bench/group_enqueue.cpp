// group_enqueue.cpp: bulk enqueue against a plain INSERT … SELECT and COPY into the same table.
#include <algorithm>
#include <atomic>
#include <map>

#include <fmt/format.h>

#include "groups.hpp"
#include "measure.hpp"

namespace fairq::bench {
namespace {

constexpr const char *kDatabase = "bench_enqueue";
constexpr long long kJobs = 40'000; // a measurement

struct Setting {
    int at_once, connections;
    bool synchronous;
    std::string name() const {
        return fmt::format("{} a call, {} conn, {}", at_once, connections, synchronous ? "sync" : "async");
    }
};

constexpr Setting kSettings[] = {{1, 1, false},    {1, 4, false},    {1, 1, true},    {1, 4, true},
                                 {100, 1, false},  {100, 4, false},  {100, 1, true},  {100, 4, true},
                                 {1000, 1, false}, {1000, 4, false}, {1000, 1, true}, {1000, 4, true}};
constexpr long long kOneByOne = 5; // times fewer jobs then

std::string payload(int n) {
    return fmt::format(R"({{"n": {}, "text": "{:a>165}"}})", n, "");
}

/// The jobs of one call, in the forms that the ways want.
struct Jobs {
    std::string tenant, payload;    ///< of the first
    std::string tenants, payloads;  ///< arrays
    std::vector<std::string> lines; ///< for COPY, without the position
};

Jobs jobs_of_call(int count) {
    std::vector<std::string> tenants, payloads;
    Jobs jobs;
    for (int n = 0; n < count; ++n) {
        tenants.push_back(fmt::format("tenant-{}", 1 + n % 10));
        std::string quoted;
        for (const char c : payload(n))
            quoted += c == '"' ? "\\\"" : std::string(1, c);
        payloads.push_back("\"" + quoted + "\"");
        jobs.lines.push_back(
            fmt::format("{}\tbench\tqueued\t0\t{}\tnow\t5\t5 min\tnow\tnow\t", tenants.back(), payload(n)));
    }
    jobs.tenant = tenants.front();
    jobs.payload = payload(0);
    jobs.tenants = fmt::format("{{{}}}", fmt::join(tenants, ","));
    jobs.payloads = fmt::format("{{{}}}", fmt::join(payloads, ","));
    return jobs;
}

void by_function(Connection &connection, const Jobs &jobs) {
    connection.query("SELECT count(*) FROM enqueue_jobs($1::text[], 'bench', $2::jsonb[])",
                     {jobs.tenants, jobs.payloads});
}

void one_by_function(Connection &connection, const Jobs &jobs) {
    connection.query("SELECT enqueue_job($1, 'bench', $2::jsonb)", {jobs.tenant, jobs.payload});
}

void one_by_insert(Connection &connection, const Jobs &jobs) {
    connection.query(
        "INSERT INTO plain_live (id, position, tenant_id, job_type, status, priority, payload, run_at, "
        "max_attempts, timeout, created_at, updated_at) VALUES (nextval('plain_live_id_seq'), "
        "currval('plain_live_id_seq'), $1, 'bench', 'queued', 0, $2::jsonb, now(), 5, '5 min', now(), now())",
        {jobs.tenant, jobs.payload});
}

void by_insert(Connection &connection, const Jobs &jobs) {
    connection.query(
        "INSERT INTO plain_live (id, position, tenant_id, job_type, status, priority, payload, run_at, "
        "max_attempts, timeout, created_at, updated_at) "
        "SELECT id, id, tenant, 'bench', 'queued', 0, payload, now(), 5, '5 min', now(), now() "
        "FROM (SELECT nextval('plain_live_id_seq') AS id, tenant, payload "
        "FROM unnest($1::text[], $2::jsonb[]) AS new (tenant, payload)) AS numbered",
        {jobs.tenants, jobs.payloads});
}

// A position such as jobs have, so that the lane index gets the same work; COPY cannot make it the id.
void by_copy(Connection &connection, const Jobs &jobs) {
    static std::atomic<long long> positions{0};
    std::string text;
    for (const std::string &line : jobs.lines)
        text += line + std::to_string(++positions) + "\n";
    connection.copy(
        "COPY plain_live (tenant_id, job_type, status, priority, payload, run_at, max_attempts, timeout, "
        "created_at, updated_at, position) FROM STDIN",
        text);
}

struct Way {
    const char *name;
    void (*add)(Connection &connection, const Jobs &jobs);
};

constexpr const char *kInsert = "INSERT", *kCopy = "COPY";

const std::vector<Way> &ways_of(const Setting &setting) {
    static const std::vector<Way> one{{"enqueue_job", one_by_function}, {kInsert, one_by_insert}};
    static const std::vector<Way> many{{"enqueue_jobs", by_function}, {kInsert, by_insert}, {kCopy, by_copy}};
    return setting.at_once == 1 ? one : many;
}

double measure(Connection &admin, const Way &way, const Setting &setting, long long jobs) {
    admin.run("TRUNCATE job_live, plain_live");
    const Jobs call = jobs_of_call(setting.at_once);
    const Connections producers = connect(kDatabase, setting.connections, setting.synchronous);
    for (const auto &producer : producers)
        way.add(*producer, call);
    const long long calls = std::max(1LL, jobs / setting.at_once / setting.connections);
    const double seconds = in_parallel(producers, [&](Connection &producer, std::size_t) {
        for (long long i = 0; i < calls; ++i)
            way.add(producer, call);
    });
    return static_cast<double>(calls * setting.at_once * setting.connections) / seconds;
}

using Rates = std::map<std::string, Samples>; // by way

Fields row(Report &report, const Setting &setting, const Way &way, Rates &rates) {
    const Samples &rate = rates[way.name];
    const bool bulk = setting.at_once == 1000, own = way.name != kInsert && way.name != kCopy;
    const char *const other = bulk ? kCopy : kInsert;
    const std::string verdict =
        own ? report.target(fmt::format("enqueue {} x {}", setting.name(), other),
                            rate.over(rates[other]).median(), at_least(bulk ? 0.95 : 0.9))
            : "";
    return {{"setting", setting.name()},
            {"way", way.name},
            {"jobs/s", figure(rate, 0)},
            {"x INSERT", figure(rate.over(rates[kInsert]), 2)},
            {"x COPY", figure(rate.over(rates[kCopy]), 2)},
            {"target", verdict.empty() ? "" : fmt::format("x {} {}", other, verdict)}};
}

} // namespace

void compare_enqueue(Report &report, const Size &size) {
    make_database(kDatabase);
    Connection admin(kDatabase);
    admin.run("CREATE TABLE plain_live (LIKE job_live INCLUDING ALL)");
    // LIKE leaves out how full the pages are to be.
    admin.run(fmt::format("ALTER TABLE plain_live SET ({})",
                          admin
                              .run("SELECT array_to_string(reloptions, ', ') FROM pg_class "
                                   "WHERE oid = 'job_live'::regclass")
                              .text()));
    std::map<std::string, Rates> all;
    for (int round = 0; round < size.rounds; ++round)
        for (const Setting &setting : kSettings) {
            const long long jobs = size.jobs(setting.at_once == 1 ? kJobs / kOneByOne : kJobs);
            for (const Way &way : ways_of(setting))
                all[setting.name()][way.name].add(measure(admin, way, setting, jobs));
        }
    std::vector<Fields> rows;
    for (const Setting &setting : kSettings)
        for (const Way &way : ways_of(setting))
            rows.push_back(row(report, setting, way, all[setting.name()]));
    report.table(
        "enqueue",
        fmt::format("200-byte payloads, {} jobs a measurement ({} one by one); the others into a table LIKE "
                    "job_live INCLUDING ALL",
                    size.jobs(kJobs), size.jobs(kJobs / kOneByOne)),
        rows);
    drop_database(kDatabase);
}

} // namespace fairq::bench
