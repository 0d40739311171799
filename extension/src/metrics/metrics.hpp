// What operators ask: how the queue is doing, which tenant gets what, and why a job is not running.
#pragma once

#include "queue/access.hpp"
#include "queue/internal.hpp"

namespace fairq::metrics {

pg::Value queue_metrics(const queue::Tenants &of); // jsonb; `of`: of those tenants alone
// A row for each tenant. `of`: only these tenants, without figures that would tell something about other tenants.
void tenant_metrics(ReturnSetInfo *rows, const queue::Tenants &of);
pg::Value load_test_metrics(); // jsonb
// A row for each alert rule: rule, level, value, its two thresholds, unit, meaning.
void queue_alerts(ReturnSetInfo *rows);
// None: the threshold that the rule has by itself.
void set_alert_threshold(std::string_view rule, std::optional<double> warning,
                         std::optional<double> critical);
// Why a job is not running: one reason, and its figures (JSON). Judged by the code that claims judge by; it
// changes and locks nothing. For a caller who may see all tenants it also tells how many tenants are ahead.
std::string why_not_running(int64 job_id, queue::OnlyTenants only_tenants);

// ------------------------------------------------------------------------------------------ between the files

using shared::queued_counts::QueuedCounts;

// Where numbers of jobs come from: this call has counted them; an earlier count, to which commits have added their
// changes; the planner's statistics, with such changes. The last two miss what was written directly to the tables.
enum class Source { counted, kept, estimated };
std::string_view name_of(Source source);

struct Counts {
    shared::StatusCounts jobs;
    Source source;
    std::optional<QueuedCounts> queued_counts; // none: this call has not counted them
};
// by_tenant: whether the queued jobs of each tenant are wanted as well.
Counts counts(bool by_tenant);

struct TenantFigures {
    pg::Value json;                            // an array
    pg::Value queues;                          // an array; NULL when it is not known
    std::string_view depths;                   // where the tenants' queued counts come from
    std::optional<int64> dwell_p50, dwell_p99; // of quiet tenants' jobs in the last minute, tenths of a ms
    int64 dwell_jobs = 0;
};
TenantFigures tenants(const Counts &counts);

pg::Value oldest_age(bool load_test); // of the oldest queued job, seconds; NULL: none is queued

// A result that outlives the SPI connection it came from.
pg::Value only_value(const pg::Rows &rows);

} // namespace fairq::metrics
