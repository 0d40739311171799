// Every SQL statement of the product, named; the texts are in statements.cpp. `@` in a text is the
// extension's schema. Pinned statements reach rows by primary key or by one of our indexes; ids come sorted,
// so that rows are locked in the order of their ids. Statements that move jobs return, by the jobs' old
// status (numbered as in job_status), how many jobs and how many load-test jobs they moved.
#pragma once

#include "pg/spi.hpp"

namespace fairq::queue::sql {

using pg::Plan;
using pg::Statement;

extern const Statement kInsertJob, kInsertJobs, kInsertKeys, kFindKeys, kPromote, kInsertLease,
    kClaimByExecutor, kComplete, kLockJob, kIsInHistory, kBackOff, kMoveToHistory, kRelease, kRedrive,
    kHeartbeat, kStaleLeases, kLockLease, kJobsOfLease, kPutBack, kEndLease, kAddHandler, kSetHandler,
    kHandlerOwner, kDropHandler, kHandlers, kFetchJob, kMakePartitions, kAudit, kAddTotals, kCount,
    kQueueMetrics, kLoadTestMetrics, kSeed, kClear, kClearLeases, kClearTicks, kClearTotals;
// statements_limits.cpp
extern const Statement kMarkRunning, kSettle, kMarkOwn, kChargeRates, kPausedTypes, kPark, kUnpark,
    kNextParkedKey, kNextParkedType, kUnparkType;

// statements_metrics.cpp
extern const Statement kInFlight, kTenantRows, kTenantsJson;

} // namespace fairq::queue::sql
