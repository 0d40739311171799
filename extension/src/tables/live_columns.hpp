// What the files that read job_live below SQL share: its columns, its keys, its names.
#pragma once

#include "pg/values.hpp"

namespace fairq::tables {

// The columns of job_live, as sql/fairq.sql orders them.
enum Column : AttrNumber {
    kId = 1,
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

void install_name_callbacks(); // by _PG_init

// A relation of the extension. Raises when it is gone.
Oid relation_in(Oid schema, const char *name);

// A scan key on the tenant, the first column of the lane index.
void tenant_key(ScanKey key, StrategyNumber strategy, RegProcedure compare, Datum tenant);

std::string_view text_in(TupleTableSlot *slot, Column column);

} // namespace fairq::tables
