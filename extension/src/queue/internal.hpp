// What the verbs share among themselves. Comes with queue.hpp; inside with_spi(), all of it.
#pragma once

#include "queue/queue.hpp"

namespace fairq::queue {

pg::Value array_of(OnlyTenants tenants); // text[]; NULL: all

// ------------------------------------------------------------------------------------------ keys.cpp

// Tenant and concurrency key of jobs that have ended, or ended an attempt: in the same transaction, the next
// job of each key goes back into its lane.
using FreedKeys = std::vector<std::pair<std::string, std::string>>;
void free_keys(FreedKeys keys);
// Parked jobs whose key is free, or whose type is not paused any more: for the housekeeping, in bounded
// steps.
void unpark(OnlyTenants only = nullptr);
int64 unpark_type(std::string_view type, OnlyTenants only = nullptr); // one step
const std::vector<std::string> &paused_types();                       // sorted

// ------------------------------------------------------------------------------------------ pipeline.cpp

// The status of a new job of that stage: `ready` when it is the
// current one, else blocked. Raises when the run is not that of all these tenants (text[]), or has passed the
// stage.
JobStatus status_in_run(int64 run, int32 stage, const pg::Value &tenants, JobStatus ready);
void runs_started(const Ids &runs); // jobs of theirs were claimed
struct RunStage {
    int64 run;
    int32 stage;
};
void jobs_completed(std::vector<RunStage> stages);
void run_failed(int64 run, int64 job_id, JobStatus how); // that job is dead, or cancelled
Ids busy_runs(const Ids &runs);                          // locks those that it does not return

// ------------------------------------------------------------------------------------------ counting.cpp

// Tells the counters what a statement moved (rows of: old status, jobs, load-test jobs) and returns the
// number of jobs.
int64 count_moves(const pg::Rows &rows, std::optional<JobStatus> to);
// The same for jobs that became queued; the tenant of each row's stands in column 4, `keys` is the first of
// two with the least and the greatest of their places (see FAIRQ_PLACE).
int64 count_into_lanes(const pg::Rows &rows, int keys);
core::KeyRange range_in(const pg::Rows &rows, size_t row, int keys);
// Who says by count_move() that jobs became queued, or are so no more, says here whose they are, and where in
// the lane; unless he knows it, everywhere.
void lane_gained(std::string_view tenant, int64 jobs, core::KeyRange where = core::kEverywhere);
struct Placed {
    std::string_view tenant;
    core::LaneKey place;
};
void lanes_gained(std::vector<Placed> jobs);
void lane_lost(std::string_view tenant, int64 jobs);
// Tells the ring and those who wait that the tenant has jobs to claim, once this transaction commits.
void lane_filled(std::string_view tenant, int64 jobs = 1, core::KeyRange where = core::kEverywhere);
void count_move(std::optional<JobStatus> from, std::optional<JobStatus> to, int64 jobs, int64 load_test);

} // namespace fairq::queue
