// The settings. Only a superuser changes them (per server, database, role or session): they are limits of the
// system, not wishes of a tenant.
#include "pg/settings.hpp"

#include "pg/pg.hpp"

namespace fairq::pg::settings {

namespace {

struct Setting {
    const char *name;
    const char *meaning;
    int *value;
    int least, most, unit;
};

int lease_timeout_ms = 30 * 1000;
int backoff_base_ms = 1000;
int backoff_max_ms = 60 * 60 * 1000;
int max_payload_bytes = 16 * 1024 * 1024;
int housekeeping_ms = 20;
int jobs_per_worker = 50;
int tenant_cap = 25;
int tick_deadline_ms = 50 * 1000;
int tick_patience_ms = 1000;
int metrics_count_limit_bytes = 2 * 1024 * 1024;
int days_ahead = 3;
bool claims_are_async = true;

constexpr int kDayMs = 24 * 60 * 60 * 1000;

const Setting kSettings[] = {
    {"fairq.lease_timeout",
     "How long a lease lives without a heartbeat before claims and ticks reclaim its jobs.",
     &lease_timeout_ms, 100, kDayMs, GUC_UNIT_MS},
    {"fairq.backoff_base", "The longest wait after a first failed attempt; it doubles with each further one.",
     &backoff_base_ms, 1, kDayMs, GUC_UNIT_MS},
    {"fairq.backoff_max", "The longest wait after any failed attempt.", &backoff_max_ms, 1, kDayMs,
     GUC_UNIT_MS},
    {"fairq.max_payload_size", "The largest payload that is accepted, in its jsonb form.", &max_payload_bytes,
     1024, 512 * 1024 * 1024, GUC_UNIT_BYTE},
    {"fairq.housekeeping_time",
     "How long a claim is held up at most by the housekeeping that rides on it; what is left rides on the "
     "next.",
     &housekeeping_ms, 1, 60 * 1000, GUC_UNIT_MS},
    {"fairq.tick_jobs_per_worker", "How many jobs a tick claims for each of its workers.", &jobs_per_worker,
     1, 10000, 0},
    {"fairq.tick_tenant_cap", "How many jobs of one tenant a tick claims at most, over all its workers.",
     &tenant_cap, 1, 1000000, 0},
    {"fairq.tick_deadline", "When a tick gives back the jobs that no worker has begun, and returns.",
     &tick_deadline_ms, 1, kDayMs, GUC_UNIT_MS},
    {"fairq.tick_patience",
     "How long a tick that has a free worker, and no more jobs for it, waits for the last handlers.",
     &tick_patience_ms, 0, kDayMs, GUC_UNIT_MS},
    {"fairq.metrics_count_limit",
     "Below which size of the tables of jobs each call of the metrics counts them.",
     &metrics_count_limit_bytes, 0, 1024 * 1024 * 1024, GUC_UNIT_BYTE},
    {"fairq.history_days_ahead",
     "For how many days ahead ticks and the housekeeping of claims make partitions of job_history (0: they "
     "make none).",
     &days_ahead, 0, 366, 0},
};

} // namespace

void define() {
    for (Setting const &setting : kSettings)
        DefineCustomIntVariable(setting.name, setting.meaning, nullptr, setting.value, *setting.value,
                                setting.least, setting.most, PGC_SUSET, setting.unit, nullptr, nullptr,
                                nullptr);
    DefineCustomBoolVariable(
        "fairq.async_claims",
        "Whether a transaction that only claims jobs commits without waiting for the disk.",
        "Lost in a crash, its jobs are queued again. Nothing else that a caller was told is ever lost by it.",
        &claims_are_async, claims_are_async, PGC_SUSET, 0, nullptr, nullptr, nullptr);
    compat::MarkGUCPrefixReserved("fairq");
}

std::int64_t lease_timeout() {
    return std::int64_t{lease_timeout_ms} * 1000;
}
std::int64_t backoff_base() {
    return std::int64_t{backoff_base_ms} * 1000;
}
std::int64_t backoff_max() {
    return std::int64_t{backoff_max_ms} * 1000;
}
std::size_t max_payload_size() {
    return static_cast<std::size_t>(max_payload_bytes);
}
std::int64_t housekeeping_time() {
    return std::int64_t{housekeeping_ms} * 1000;
}
int tick_jobs_per_worker() {
    return jobs_per_worker;
}
int tick_tenant_cap() {
    return tenant_cap;
}
std::int64_t tick_deadline() {
    return std::int64_t{tick_deadline_ms} * 1000;
}
std::int64_t tick_patience() {
    return std::int64_t{tick_patience_ms} * 1000;
}
std::int64_t metrics_count_limit() {
    return metrics_count_limit_bytes;
}
int history_days_ahead() {
    return days_ahead;
}
bool async_claims() {
    return claims_are_async;
}

} // namespace fairq::pg::settings
