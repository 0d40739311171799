// What the files that read job_live below SQL share: its columns, its shape, the names of relations.
#pragma once

#include "tables/table_shape.hpp"

namespace fairq::tables {

// The columns of job_live, as sql/fairq.sql orders them.
enum Column : AttrNumber {
    kId = 1,
    kQueue,
    kTenant,
    kType,
    kPriority,
    kRunAt,
    kMaxAttempts,
    kTimeout,
    kKey,
    kConcurrencyKey,
    kRunId,
    kStage,
    kCreatedAt,
    kPayload,
    kStatus,
    kAttempts,
    kLockedBy,
    kLockedAt,
    kLockToken,
    kLastError,
    kUpdatedAt,
    kPosition,
    kDueAt,
    kHeldKey,
    kParkedPosition,
    kRunningSince,
    kRunningPosition,
    kColumns = kRunningPosition
};
constexpr std::string_view kLoadTest = "load_test";

constexpr std::array<ShapeColumn, kColumns> kLiveColumns{{
    {"id", INT8OID, true, nullptr, ATTRIBUTE_IDENTITY_BY_DEFAULT},
    {"queue", TEXTOID, true, "'default'::text"},
    {"tenant_id", TEXTOID, true},
    {"job_type", TEXTOID, true},
    {"priority", INT2OID, true},
    {"run_at", TIMESTAMPTZOID, true},
    {"max_attempts", INT4OID, true},
    {"timeout", INTERVALOID, true},
    {"idempotency_key", TEXTOID},
    {"concurrency_key", TEXTOID},
    {"run_id", INT8OID},
    {"stage", INT4OID},
    {"created_at", TIMESTAMPTZOID, true},
    {"payload", JSONBOID, true},
    {"status", kJobStatus, true},
    {"attempts", INT4OID, true, "0"},
    {"locked_by", TEXTOID},
    {"locked_at", TIMESTAMPTZOID},
    {"lock_token", INT8OID},
    {"last_error", TEXTOID},
    {"updated_at", TIMESTAMPTZOID, true},
    {"position", INT8OID},
    {"due_at", TIMESTAMPTZOID},
    {"held_key", TEXTOID},
    {"parked_position", INT8OID},
    {"running_since", TIMESTAMPTZOID},
    {"running_position", INT8OID},
}};

constexpr const char *kLiveChecks[] = {
    R"(((("position" IS NOT NULL) OR (parked_position IS NOT NULL) OR (running_position IS NOT NULL)) = )"
    "((status = 'queued'::@job_status) OR (status = 'locked'::@job_status)))",
    "((due_at IS NOT NULL) = (status = 'scheduled'::@job_status))",
    "((lock_token IS NOT NULL) = (status = 'locked'::@job_status))",
    R"(((parked_position IS NULL) OR ((status = 'queued'::@job_status) AND ("position" IS NULL))))",
    R"(((running_position IS NULL) OR ((running_since IS NOT NULL) AND ("position" IS NULL))))",
    "((running_since IS NULL) OR (status = 'locked'::@job_status))",
    "(((run_id IS NULL) = (stage IS NULL)) AND ((run_id IS NOT NULL) OR (status <> 'blocked'::@job_status)))",
    "(status < 'completed'::@job_status)",
    "((octet_length(queue) >= 1) AND (octet_length(queue) <= 63))",
    "CASE WHEN (status = 'locked'::@job_status) THEN (NOT (held_key IS DISTINCT FROM concurrency_key)) "
    "ELSE (held_key IS NULL) END",
};
constexpr const char *kLiveIndexes[] = {
    "job_live_pkey",    "job_live_lane",   "job_live_due",    "job_live_due_of_tenant",
    "job_live_held",    "job_live_parked", "job_live_paused", "job_live_paused_of_tenant",
    "job_live_running", "job_live_run",
};
constexpr TableShape kLiveShape{RELKIND_RELATION, kLiveColumns.data(),    kColumns,
                                kLiveChecks,      std::size(kLiveChecks), false,
                                kLiveIndexes,     std::size(kLiveIndexes)};

void install_name_callbacks(); // by _PG_init

Oid status_type(Oid schema); // of the enum job_status
// A relation of the extension. Raises when it is gone.
Oid relation_in(Oid schema, const char *name);

} // namespace fairq::tables
