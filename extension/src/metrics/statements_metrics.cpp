// The SQL texts of the tenants' metrics (see statements.hpp).
#include "queue/statements.hpp"

// SQL is laid out by hand.
// clang-format off

namespace fairq::queue::sql {

// → tenant, its locked jobs; reads what the open leases name, and by their ids: OFFSET 0 leaves no other way
const Statement kInFlight{80, Plan::pinned, R"(
SELECT j.tenant_id, count(*)
  FROM @job_leases l
 CROSS JOIN unnest(l.job_ids) AS a (id)
 CROSS JOIN LATERAL (SELECT tenant_id FROM @job_live WHERE id = a.id AND lock_token = l.lock_token OFFSET 0) AS j
 GROUP BY j.tenant_id)"};

// Arrays of tenants ('' for the rest) and their figures, -1 for none; shares in millionths.
#define FAIRQ_TENANT_FIGURES                                                                                           \
    "u.weight::integer, nullif(u.depth, -1) AS depth, nullif(u.served, -1) AS served, nullif(u.due, -1) / 1e6::float8 AS share_due, "         \
    "nullif(u.got, -1) / 1e6::float8 AS share_got, u.in_flight, nullif(u.cap, -1)::integer AS cap, "                    \
    "nullif(u.age, -1) AS oldest_claimable_age_seconds, nullif(u.waiting, -1) = 1 AS waiting_in_ring, "                 \
    "u.tenants::integer "                                                                                              \
    "FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) "                                                       \
    "AS u (tenant, weight, depth, served, due, got, in_flight, cap, age, waiting, tenants)"
#define FAIRQ_TENANT_ARRAYS                                                                                            \
    11, {TEXTARRAYOID, INT8ARRAYOID, INT8ARRAYOID, INT8ARRAYOID, INT8ARRAYOID, INT8ARRAYOID, INT8ARRAYOID,              \
         INT8ARRAYOID, INT8ARRAYOID, INT8ARRAYOID, INT8ARRAYOID}

const Statement kTenantRows{81, Plan::pinned, "SELECT nullif(u.tenant, ''), " FAIRQ_TENANT_FIGURES, FAIRQ_TENANT_ARRAYS};

const Statement kTenantsJson{82, Plan::pinned,
    "SELECT coalesce(jsonb_agg(to_jsonb(t)), '[]') FROM (SELECT nullif(u.tenant, '') AS tenant, " FAIRQ_TENANT_FIGURES ") AS t",
    FAIRQ_TENANT_ARRAYS};

} // namespace fairq::queue::sql
