// An unfinished job, as why_not_running reads it.
#pragma once

#include "core/job_status.hpp"
#include "pg/boundary.hpp"

namespace fairq::metrics {

using Time = std::optional<TimestampTz>;

struct LiveJob {
    int64 id;
    std::string version; // differs once a transaction has changed the job
    core::JobStatus status;
    std::string tenant, type;
    int32 priority;
    std::optional<int64> position; // none: not in its lane
    Time due_at;
    TimestampTz since;
    int32 attempts, max_attempts;
    std::optional<std::string> error, key;
    std::optional<int64> run;
    std::optional<int32> stage;
    std::optional<std::string> worker;
    Time heartbeat_at;
    std::optional<std::string> run_status;
    std::optional<int32> run_stage;
    std::string queue;
};

// As of the active snapshot. None: there is no such unfinished job.
std::optional<LiveJob> find_live(int64 id);

} // namespace fairq::metrics
