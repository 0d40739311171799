// Roles that are bound to tenants (table queue_access, see grant_queue_access): what an API function asks
// before it does anything. A superuser, who has the rights of the extension's owner, and who has no row there
// at all, may do everything that EXECUTE lets him; else only what a row's capability covers, for the row's
// tenant (NULL: for all). Both the session's role and the caller's count: a role stays bound in other
// people's SECURITY DEFINER functions, and its own bind whoever calls them.
#pragma once

#include "queue/internal.hpp"

namespace fairq::queue {

enum class Capability { producer, worker, operations, monitor }; // operations: "operator"; it covers monitor

// Sorted; none: all tenants.
using Tenants = std::optional<std::vector<std::string>>;

// Those for which the caller has the capability; 42501 when he has others only.
Tenants bound_tenants(Capability capability);
// Has it for all tenants, or has no rows at all.
bool is_unbound(Capability capability, Oid role);

// 42501, which says no more than the caller did.
void check_tenant(Capability capability, std::string_view tenant);
void check_tenants(Capability capability, Datum tenants); // text[]
void check_unbound(Capability capability);                // for what concerns all tenants

// A job of another tenant is an unknown one (JQ004).
void check_job(Capability capability, int64 job_id);

// What the verbs do for a role that is bound; without tenants, the verb itself.
Ids jobs_of(const Tenants &tenants, Ids job_ids); // those that are unfinished and theirs
int32 heartbeat_of(const Tenants &tenants, int64 lock_token);
int64 redrive_of(const Tenants &tenants, const pg::Value &job_type, int max_jobs);

// Their jobs, as rows of job_queue; conditions: on its columns, under the name j, or empty.
void read_jobs_of(const Tenants &tenants, const std::string &conditions, ReturnSetInfo *rows);

} // namespace fairq::queue
