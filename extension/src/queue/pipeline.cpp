// Pipeline runs: jobs in stages. Whoever ends a job that may be the last of its stage marks the run and takes
// the next step at once, if nobody is enqueueing into the run just then; else, and for what one step leaves,
// claims and ticks go on. A step moves a bounded number of jobs, in one transaction with what it says of the
// run. Jobs are locked before runs, and a step waits for nobody.
#include "queue/limits.hpp"
#include "queue/statements.hpp"
#include "queue/wait.hpp"
#include "tables/low_water_mark.hpp"

namespace fairq::queue {

namespace {

// A run that somebody has marked, locked.
struct Run {
    int64 id;
    bool failed; // its blocked jobs are cancelled, else those of its stage are promoted
    int32 stage;
    int32 step_stage, step_priority; // behind which job to go on
    int64 step_id;
    std::string error;

    explicit Run(const pg::Rows &rows)
        : id(rows.int64_at(0, 1)), failed(rows.bool_at(0, 2)), stage(rows.int32_at(0, 3)),
          step_stage(rows.int32_at(0, 4)), step_priority(rows.int32_at(0, 5)), step_id(rows.int64_at(0, 6)),
          error(rows.is_null(0, 7) ? "" : rows.text_at(0, 7)) {}
};

void move_blocked(const Run &run, int most) {
    pg::Rows const moved =
        pg::execute(sql::kStep, {pg::of(run.id), pg::of(int32{run.failed ? core::kMaxStage : run.stage}),
                                 pg::of(run.step_stage), pg::of(run.step_priority), pg::of(run.step_id),
                                 pg::of(int32{most}), pg::of_time(pg::now()),
                                 run.failed ? pg::of(std::string_view(run.error)) : pg::Value{}});
    for (size_t row = 0; row < moved.size(); ++row) {
        auto const to = static_cast<JobStatus>(moved.int32_at(row, 1));
        count_move(JobStatus::blocked, to, moved.int64_at(row, 2), moved.int64_at(row, 3));
        if (to == JobStatus::queued) // a run is of one tenant
            lane_gained(moved.texts_at(row, 4).front(), moved.int64_at(row, 2), range_in(moved, row, 5));
        if (to == JobStatus::scheduled)
            job_due(pg::now()); // or later: who waits looks for itself
        if (to == JobStatus::cancelled) {
            std::vector<std::string> const tenants = moved.texts_at(row, 4);
            pending_changed({tenants.begin(), tenants.end()}, {-moved.int64_at(row, 2)});
        }
    }
}

// The next stage, if the current one has no unfinished job any more; then a part of its jobs.
void step(Run run, int most) {
    if (!run.failed) {
        pg::Rows const next =
            pg::execute(sql::kFinishStage, {pg::of(run.id), pg::of(run.stage), pg::of_time(pg::now())});
        if (!next.empty()) {
            if (next.is_null(0, 1))
                return; // completed
            run.stage = next.int32_at(0, 1);
        }
    }
    move_blocked(run, most);
}

// Marks the run. What a snapshot of the whole transaction shows may be old: then others go on.
void job_ended(int64 run, const pg::Value &error, bool claimed) {
    pg::Value const now = pg::of_time(pg::now());
    bool const unfinished =
        !pg::execute(sql::kJobEnded, {pg::of(run), now, error, claimed ? now : pg::Value{}}).empty();
    if (!unfinished || IsolationUsesXactSnapshot())
        return;
    pg::Rows const taken = pg::execute(sql::kTakeRun, {pg::of(run)});
    if (!taken.empty())
        step(Run(taken), core::kRunStep);
}

// Without a look at the jobs when it would be an old one.
Ids possibly_finished(const std::vector<RunStage> &stages) {
    Ids runs, numbers;
    for (RunStage const &stage : stages) {
        runs.push_back(stage.run);
        numbers.push_back(stage.stage);
    }
    if (IsolationUsesXactSnapshot())
        return runs;
    pg::Rows const rows = pg::execute(sql::kFinishedStages, {pg::of(runs), pg::of(numbers)});
    Ids finished(rows.size());
    for (size_t row = 0; row < rows.size(); ++row)
        finished[row] = rows.int64_at(row, 1);
    return finished;
}

} // namespace

int64 create_run(std::string_view tenant, std::string_view name) {
    return pg::with_spi([&] {
        return pg::execute(sql::kInsertRun, {pg::of(tenant), pg::of(name)}).int64_at(0, 1);
    });
}

JobStatus status_in_run(int64 run, int32 stage, const pg::Value &tenants, JobStatus ready) {
    pg::Rows const rows = pg::execute(sql::kJoinRun, {pg::of(run), tenants});
    if (rows.empty())
        pg::raise_unknown_run(run);
    std::string const status = rows.text_at(0, 1);
    int32 const current = rows.int32_at(0, 2);
    bool const over = status == "completed" || status == "failed";
    if (over || stage < current)
        pg::raise_stage_passed(run, stage, status, over ? std::nullopt : std::optional(current));
    return stage > current ? JobStatus::blocked : ready;
}

void runs_started(const Ids &runs) {
    pg::execute(sql::kStartRuns, {pg::of(runs), pg::of_time(pg::now())});
}

void jobs_completed(std::vector<RunStage> stages) {
    auto const key = [](const RunStage &stage) { return std::make_pair(stage.run, stage.stage); };
    std::sort(stages.begin(), stages.end(), [&](auto &a, auto &b) { return key(a) < key(b); });
    stages.erase(
        std::unique(stages.begin(), stages.end(), [&](auto &a, auto &b) { return key(a) == key(b); }),
        stages.end());
    for (int64 const run : possibly_finished(stages))
        job_ended(run, pg::Value{}, true);
}

void run_failed(int64 run, int64 job_id, JobStatus how) {
    std::string const error = "job " + std::to_string(job_id) + " of pipeline run " + std::to_string(run) +
                              (how == JobStatus::dead ? " is dead" : " was cancelled");
    job_ended(run, pg::of(std::string_view(error)), how == JobStatus::dead);
}

Ids busy_runs(const Ids &runs) {
    pg::Rows const rows = pg::execute(sql::kBusyRuns, {pg::of(runs)});
    Ids busy(rows.size());
    for (size_t row = 0; row < rows.size(); ++row)
        busy[row] = rows.int64_at(row, 1);
    return busy;
}

bool advance_runs(int max_jobs, OnlyTenants only) {
    if (IsolationUsesXactSnapshot())
        return false;
    std::optional<TimestampTz> const from = tables::first_advancing_run(pg::schema());
    if (!from)
        return false;
    return pg::with_spi([&] {
        pg::Rows const next = pg::execute(sql::kNextRun, {pg::of_time(*from), array_of(only)});
        if (next.empty())
            return false;
        step(Run(next), max_jobs);
        return true;
    });
}

} // namespace fairq::queue
