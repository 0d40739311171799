// queue_consistency.cpp: see queue_consistency.hpp.
#include "queue_consistency.hpp"

#include "queue_checker.hpp"

namespace fairq::test {

using namespace fairq::driver;

namespace {

/// What must not be, and a query that counts it.
struct Rule {
    const char *broken;
    const char *count;
};

constexpr Rule kRules[] = {
    {"locked jobs without a lease",
     "SELECT count(*) FROM job_live j WHERE status = 'locked' AND NOT EXISTS "
     "(SELECT FROM job_leases l WHERE l.lock_token = j.lock_token AND j.id = ANY (l.job_ids))"},
    {"running jobs that do not count for their tenant's cap",
     "SELECT count(*) FROM job_live JOIN tenant_limits USING (tenant_id) "
     "WHERE max_concurrency IS NOT NULL AND status = 'locked' AND running_since IS NULL"},
    {"tenants above their cap",
     "SELECT count(*) FROM tenant_limits t WHERE max_concurrency < (SELECT count(*) FROM job_live j "
     "WHERE j.tenant_id = t.tenant_id AND running_since IS NOT NULL)"},
    {"running jobs that share a key",
     "SELECT count(*) FROM (SELECT FROM job_live WHERE status = 'locked' AND concurrency_key IS NOT NULL "
     "GROUP BY tenant_id, concurrency_key HAVING count(*) > 1) AS k"},
    {"parked jobs of a key that is free",
     "SELECT count(*) FROM job_live p WHERE parked_position IS NOT NULL AND concurrency_key IS NOT NULL AND "
     "NOT EXISTS "
     "(SELECT FROM job_live j WHERE j.tenant_id = p.tenant_id AND j.concurrency_key = p.concurrency_key AND "
     "(j.position IS NOT NULL OR j.running_position IS NOT NULL))"},
    {"idempotency keys without a job",
     "SELECT count(*) FROM job_keys k WHERE NOT EXISTS (SELECT FROM job_queue q WHERE q.id = k.job_id AND "
     "q.tenant_id = k.tenant_id AND q.idempotency_key = k.idempotency_key)"},
    {"jobs whose idempotency key is not stored",
     "SELECT count(*) FROM job_queue q WHERE idempotency_key IS NOT NULL AND NOT EXISTS "
     "(SELECT FROM job_keys k WHERE k.job_id = q.id)"},
    {"tenants whose waiting jobs are counted wrongly",
     "SELECT count(*) FROM tenant_limits t WHERE max_pending IS NOT NULL AND "
     "(SELECT coalesce(sum(change), 0) FROM tenant_pending p WHERE p.tenant_id = t.tenant_id) <> "
     "(SELECT count(*) FROM job_live j WHERE j.tenant_id = t.tenant_id AND status <> 'locked')"},
};

constexpr const char *kTables[] = {"job_live", "job_history",  "job_leases",
                                   "job_keys", "tenant_rates", "tenant_limits"};

} // namespace

std::vector<std::string> contradictions(Database &database) {
    std::vector<std::string> found;
    for (const Rule &rule : kRules)
        if (const std::int64_t times = number(database, rule.count); times > 0)
            found.push_back(std::to_string(times) + " " + rule.broken);
    if (std::string wrong = metrics_are_wrong(database); !wrong.empty())
        found.push_back("counts of the metrics: " + wrong);
    return found;
}

std::string all_rows(Database &database) {
    std::string all;
    for (const std::string table : kTables)
        all += table + ":\n" +
               database
                   .scalar("SELECT coalesce(string_agg(t::text, E'\\n' ORDER BY t::text), '') FROM " + table +
                           " AS t")
                   .value() +
               "\n";
    // Rows of one tenant may be folded into one at any time.
    return all + "tenant_pending:\n" +
           database
               .scalar("SELECT coalesce(string_agg(t::text, E'\\n' ORDER BY t::text), '') FROM "
                       "(SELECT tenant_id, sum(change) FROM tenant_pending GROUP BY 1) AS t")
               .value();
}

} // namespace fairq::test
