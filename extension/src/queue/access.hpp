// Roles that are bound to tenants (table queue_access, see grant_queue_access): what an API function asks
// before it does anything. A superuser, a role with the rights of the extension's owner, and a role without a
// row in that table may do everything that EXECUTE allows. Any other role may do only what a row's capability
// covers, for the row's tenant (NULL: for all tenants). Both the session's role and the calling role are checked:
// so a role that is bound to tenants stays bound inside a SECURITY DEFINER function of another role, and a
// SECURITY DEFINER function of a bound role is bound in every session.
#pragma once

#include "queue/internal.hpp"

namespace fairq::queue {

enum class Capability { producer, worker, operations, monitor }; // operations: "operator"; it covers monitor

// Sorted; none: all tenants.
using Tenants = std::optional<std::vector<std::string>>;

// The tenants for which the caller has the capability; 42501 when the caller has other capabilities only.
Tenants bound_tenants(Capability capability);
// Whether the role has the capability for all tenants, or has no row at all.
bool is_unbound(Capability capability, Oid role);

// Raise 42501. The message names only what the caller has named, so it reveals nothing about other tenants.
void check_tenant(Capability capability, std::string_view tenant);
void check_tenants(Capability capability, Datum tenants); // text[]
void check_unbound(Capability capability);                // for a call that concerns all tenants

// A job of another tenant is an unknown one (JQ004).
void check_job(Capability capability, int64 job_id);

// The verbs for a role that is bound to tenants; without tenants, the verb itself.
Ids jobs_of(const Tenants &tenants, Ids job_ids); // the unfinished ones of these tenants
int32 heartbeat_of(const Tenants &tenants, int64 lock_token);
void read_job(int64 job_id,
              ReturnSetInfo *rows); // unfinished, or finished recently: its row, as job_queue has it
int64 redrive_of(const Tenants &tenants, const pg::Value &job_type, int max_jobs, TimestampTz dead_since);

// The jobs of these tenants, as rows of job_queue; conditions: on its columns, under the name j, or empty.
void read_jobs_of(const Tenants &tenants, const std::string &conditions, ReturnSetInfo *rows);

} // namespace fairq::queue
