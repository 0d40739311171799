// Every SQL statement of the product, named; the texts are in statements*.cpp. `@` in a text is the
// extension's schema. Pinned statements reach rows by primary key or by one of our indexes; ids come sorted,
// so that rows are locked in the order of their ids. Statements that move jobs return, by the jobs' old
// status (numbered as in job_status), how many jobs and how many load-test jobs they moved.
#pragma once

#include "pg/spi.hpp"

// The columns that job_live and job_history share before the status and after it, in two runs around it.
#define FAIRQ_BEFORE_STATUS                                                                                  \
    "id, tenant_id, job_type, priority, run_at, max_attempts, timeout, idempotency_key, concurrency_key, "   \
    "run_id, stage, created_at, payload"
#define FAIRQ_AFTER_STATUS "attempts, locked_by, locked_at, lock_token"
// A job's place in its lane, as core::lane_key() makes it of its priority and position.
#define FAIRQ_PLACE(position)                                                                                \
    "(priority * 281474976710656 + least(greatest(" position ", 0), 281474976710655))"

// What a promotion does with the jobs of its CTE "due"; $1: now.
#define FAIRQ_PROMOTE                                                                                        \
    "moved AS ("                                                                                             \
    "UPDATE @job_live j"                                                                                     \
    "   SET status = 'queued', due_at = NULL, position = nextval('@job_live_id_seq'), updated_at = $1"       \
    "  FROM due WHERE j.id = due.id "                                                                        \
    "RETURNING j.job_type, j.tenant_id, j.priority, " FAIRQ_PLACE(                                           \
        "j.position") " AS place) "                                                                          \
                      "SELECT 1, count(*), count(*) FILTER (WHERE job_type = 'load_test'), tenant_id, "      \
                      "min(place), max(place)"                                                               \
                      "  FROM moved GROUP BY tenant_id, priority"

namespace fairq::queue::sql {

using pg::Plan;
using pg::Statement;

extern const Statement kInsertJob, kInsertJobs, kInsertKeys, kFindKeys, kPromote, kInsertLease,
    kClaimByExecutor, kComplete, kEndWholeLease, kLockJob, kIsInHistory, kBackOff, kMoveToHistory, kRelease,
    kRedrive, kHeartbeat, kStaleLeases, kLockLease, kJobsOfLease, kPutBack, kEndLease, kAddHandler,
    kSetHandler, kHandlerOwner, kDropHandler, kHandlers, kMakePartitions, kAudit, kAddTotals, kCount,
    kQueueMetrics, kLoadTestMetrics, kSeed, kClear, kClearLeases, kClearTicks, kClearTotals;
// statements_limits.cpp
extern const Statement kMarkRunning, kCountUncounted, kEndCapPending, kMarkOwn, kChargeRates, kPausedTypes,
    kPark, kUnpark, kNextParkedKey, kNextParkedType, kUnparkType;

// statements_pipeline.cpp
extern const Statement kInsertRun, kJoinRun, kStartRuns, kBusyRuns, kFinishedStages, kJobEnded, kTakeRun,
    kNextRun, kFinishStage, kStep;

// statements_wait.cpp
extern const Statement kNextDue;

// statements_access.cpp
extern const Statement kAccess, kIsJobOfTenants, kJobsOfTenants, kHeartbeatOfTenants, kMetricsOfTenants,
    kPromoteOfTenants, kStaleLeasesOfTenants, kLockStaleLease;

// statements_limits.cpp
extern const Statement kAddLimits, kSetLimits, kDropRate, kPauseType, kResumeType, kCountPending,
    kDropPending, kAddPending, kAddPendingOf, kWaiting, kFoldPending, kSeedPending, kLockRates, kChargeRate,
    kDropKeys;
// statements_metrics.cpp
extern const Statement kInFlight, kTenantRows, kTenantsJson;

// statements_why.cpp
extern const Statement kExplainLive, kExplainFinished, kExplainArchived, kJobsAhead, kJobsOfStage;

} // namespace fairq::queue::sql
