// The limits of all arguments of the SQL functions. Error messages that name a limit are made from these.
#pragma once

#include <cstddef>
#include <cstdint>

namespace fairq::core {

constexpr std::size_t kMaxNameBytes = 255; // tenant, job type, idempotency key, worker
constexpr std::size_t kMaxQueueBytes = 63;
constexpr std::size_t kMostQueuesOfWait = 64; // that one wait_for_jobs names
constexpr std::size_t kMaxErrorBytes = 8192;  // last_error, longer ones are cut
constexpr std::size_t kMaxNotifyBytes = 7999;
constexpr int kMaxJobsPerCall = 10000; // claim, reclaim and redrive
constexpr int kMaxAttempts = 1000;
constexpr int kMaxTickWorkers = 64;
constexpr int kMaxStage = 10000; // of a pipeline run
constexpr int kRunStep = 1000;   // jobs of a run that one call promotes or cancels
constexpr int kMaxWeight = 1000; // of a tenant
constexpr double kMaxRate = 1e6; // jobs a second
constexpr int kMaxLoadTestTenants = 1000000;
constexpr std::int64_t kMicrosecond = 1;
constexpr std::int64_t kMillisecond = 1000 * kMicrosecond;
constexpr std::int64_t kSecond = 1000 * kMillisecond;
constexpr std::int64_t kDay = 86400 * kSecond;
constexpr std::int64_t kMaxTimeout = 7 * kDay;
// A finished job is looked for by its id among those that finished in this time, not in all of the history.
constexpr std::int64_t kRecent = 30 * kDay;

// For each job that it was asked for, a claim looks at no more than this many lanes. The next claim goes on behind
// the last of them.
constexpr int kLanesPerJob = 20;
// And at this many lanes besides, which then leave the schedule, because they are empty or held. Each of them costs
// claims one look only, so a claim may have more of them: some milliseconds. Otherwise claims of one job would come back
// empty for long when many tenants have been paused at once.
constexpr int kLeavingLanes = 1000;

} // namespace fairq::core
