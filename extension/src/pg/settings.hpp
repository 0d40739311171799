// The settings (GUCs) of fairq; names, units, bounds and defaults are in settings.cpp.
#pragma once

#include <cstdint>

namespace fairq::pg::settings {

void define(); // called once, by _PG_init

std::int64_t lease_timeout();     // microseconds
std::int64_t backoff_base();      // microseconds
std::int64_t backoff_max();       // microseconds
std::size_t max_payload_size();   // bytes
std::int64_t housekeeping_time(); // microseconds, of one claim
int tick_jobs_per_worker();
int tick_tenant_cap();
std::int64_t tick_deadline();       // microseconds
std::int64_t tick_patience();       // microseconds
std::int64_t metrics_count_limit(); // bytes
int history_days_ahead();
bool async_claims();

} // namespace fairq::pg::settings
