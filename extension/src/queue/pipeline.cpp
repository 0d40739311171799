// Pipeline runs: jobs in stages. A transaction that ends a job which may be the last of its stage marks the
// run and takes the next step at once, unless another session is enqueueing into the run just then, or its snapshot is
// too old (repeatable read). Claims, waits and ticks take the steps that are left. A step moves a bounded number of jobs
// and updates the run, in one transaction. The end of a job locks jobs before the run; a step locks its run first, passes
// over jobs that are locked, and never waits. A job that cannot be moved is noted and passed over (failures.hpp); the
// run comes back to it when it has moved all others.
#include "queue/failures.hpp"
#include "queue/limits.hpp"
#include "queue/wait.hpp"
#include "tables/low_water_mark.hpp"

namespace fairq::queue {

namespace {

// SQL is laid out by hand.
// clang-format off

#define FAIRQ_RUN "id, status = 'failed', stage, step_stage, step_priority::integer, step_id, last_error"
struct RunRow {
    enum Column { id = 1, failed, stage, step_stage, step_priority, step_id, error };
};

// tenant, name → id
const pg::Statement kInsertRun{pg::Plan::pinned, "INSERT INTO @pipeline_runs (tenant_id, name) VALUES ($1, $2) RETURNING id", {TEXTOID, TEXTOID}};

// run, tenants → status, stage, if all of them are its tenant; the stage cannot pass until this transaction ends. A
// run of another tenant is neither locked nor waited for.
const pg::Statement kJoinRun{pg::Plan::pinned, R"(
SELECT status, stage FROM @pipeline_runs WHERE id = $1 AND tenant_id = ALL ($2) FOR KEY SHARE)", {INT8OID, TEXTARRAYOID}};
struct JoinedRun {
    enum Column { status = 1, stage };
};

// runs, now: the runs that wait for their first claim become `running`. Never waits
const pg::Statement kStartRuns{pg::Plan::pinned, R"(
WITH started AS (
    SELECT r.id FROM unnest($1) AS a (id) JOIN @pipeline_runs r ON r.id = a.id
     WHERE r.status = 'queued' FOR NO KEY UPDATE OF r SKIP LOCKED
)
UPDATE @pipeline_runs r SET status = 'running', started_at = $2 FROM started s WHERE r.id = s.id)", {INT8ARRAYOID, TIMESTAMPTZOID}};

// runs → the runs that another transaction has locked; locks the rest
const pg::Statement kBusyRuns{pg::Plan::pinned, R"(
WITH free AS (
    SELECT r.id FROM unnest($1) AS a (id) JOIN @pipeline_runs r ON r.id = a.id FOR NO KEY UPDATE OF r SKIP LOCKED
)
SELECT r.id FROM unnest($1) AS a (id) JOIN @pipeline_runs r ON r.id = a.id WHERE r.id <> ALL (ARRAY(SELECT id FROM free)))", {INT8ARRAYOID}};

// runs, a stage of each → the runs that may have no unfinished job there. If there is one that no transaction
// is finishing, it is locked: the transaction that finishes it comes after this one, and looks in turn. The last job
// of a stage is taken: it is found at once, and claimed last. FOR SHARE, because SKIP LOCKED does not skip but wait
// where a weaker lock follows a claim in progress to the version that the same transaction has deleted.
const pg::Statement kFinishedStages{pg::Plan::pinned, R"(
SELECT a.run
  FROM unnest($1, $2) AS a (run, stage)
  LEFT JOIN LATERAL (SELECT j.id FROM @job_live j WHERE j.run_id = a.run AND j.stage = a.stage::integer
                      ORDER BY j.priority DESC, j.id DESC LIMIT 1 FOR SHARE SKIP LOCKED) AS unfinished ON true
 WHERE unfinished.id IS NULL
 ORDER BY a.run)", {INT8ARRAYOID, INT8ARRAYOID}};

// run, now, error (NULL: the job has completed), now if the job was claimed. Two ends of jobs of a run wait
// for each other here.
const pg::Statement kJobEnded{pg::Plan::pinned, R"(
UPDATE @pipeline_runs
   SET status = CASE WHEN $3 IS NULL THEN 'running' ELSE 'failed' END, last_error = $3, advanced_at = $2,
       started_at = coalesce(started_at, $4), finished_at = CASE WHEN $3 IS NOT NULL THEN $2 END
 WHERE id = $1 AND status IN ('queued', 'running'))", {INT8OID, TIMESTAMPTZOID, TEXTOID, TIMESTAMPTZOID}};

// run → a row, when the ends of its jobs still matter
const pg::Statement kIsUnfinishedRun{pg::Plan::pinned,
    "SELECT FROM @pipeline_runs WHERE id = $1 AND status IN ('queued', 'running')", {INT8OID}};

// run, anything to pass over?, now → the run, if steps are left and no session is enqueueing into it
const pg::Statement kTakeRun{pg::Plan::pinned, "SELECT " FAIRQ_RUN R"( FROM @pipeline_runs r
 WHERE id = $1 AND advanced_at IS NOT NULL AND )" FAIRQ_NOT_PASSED_OVER("run", "r.id", "$2", "$3") R"(
 FOR UPDATE SKIP LOCKED)", {INT8OID, BOOLOID, TIMESTAMPTZOID}};

// from when on, tenants (NULL: all), anything to pass over?, now → the run whose turn it is
const pg::Statement kNextRun{pg::Plan::pinned, R"(
SELECT )" FAIRQ_RUN R"( FROM @pipeline_runs r WHERE advanced_at >= $1 AND ($2 IS NULL OR tenant_id = ANY ($2))
   AND )" FAIRQ_NOT_PASSED_OVER("run", "r.id", "$3", "$4") R"(
 ORDER BY advanced_at LIMIT 1 FOR UPDATE SKIP LOCKED)", {TIMESTAMPTZOID, TEXTARRAYOID, BOOLOID, TIMESTAMPTZOID}};

// run, its stage, now → the stage that follows, NULL when the run is completed; nothing while the stage has a job
const pg::Statement kFinishStage{pg::Plan::pinned, R"(
WITH first AS (
    SELECT (SELECT stage FROM @job_live WHERE run_id = $1 AND stage >= $2 ORDER BY stage LIMIT 1) AS stage
)
UPDATE @pipeline_runs r
   SET status = CASE WHEN first.stage IS NULL THEN 'completed' ELSE 'running' END,
       stage = coalesce(first.stage, r.stage),
       finished_at = CASE WHEN first.stage IS NULL THEN $3 END,
       advanced_at = CASE WHEN first.stage IS NOT NULL THEN $3 END
  FROM first
 WHERE r.id = $1 AND first.stage IS DISTINCT FROM $2
RETURNING first.stage)", {INT8OID, INT4OID, TIMESTAMPTZOID}};

// run, up to which stage; behind which stage, priority, id; how many, anything to pass over?, now → id, stage, priority
// of its next blocked jobs
const pg::Statement kBlockedJobs{pg::Plan::pinned, R"(
SELECT id, stage, priority::integer FROM @job_live
 WHERE run_id = $1 AND stage <= $2 AND (stage, priority, id) > ($3, $4::smallint, $5) AND status = 'blocked'
   AND )" FAIRQ_NOT_PASSED_OVER("job", "job_live.id", "$7", "$8") R"(
 ORDER BY stage, priority, id LIMIT $6)", {INT8OID, INT4OID, INT4OID, INT4OID, INT8OID, INT4OID, BOOLOID, TIMESTAMPTZOID}};
struct BlockedJobRow {
    enum Column { id = 1, stage, priority };
};

// ids in the order in which they are to be claimed, now, error (NULL: promote, else cancel) → by the new status and the queue, jobs,
// load-test jobs, tenants, queue, first and last place. SKIP LOCKED: a transaction that cancels one of these jobs waits for
// the run, which this step has locked.
const pg::Statement kMoveBlocked{pg::Plan::pinned, R"(
WITH got AS (
    SELECT j.id FROM unnest($1) WITH ORDINALITY AS s (id, n) JOIN @job_live j ON j.id = s.id
     WHERE j.status = 'blocked' ORDER BY s.n FOR UPDATE OF j SKIP LOCKED
), promoted AS (
    UPDATE @job_live j
       SET status = CASE WHEN j.run_at > $2 THEN 'scheduled'::@job_status ELSE 'queued' END,
           due_at = CASE WHEN j.run_at > $2 THEN j.run_at END,
           position = CASE WHEN j.run_at > $2 THEN NULL ELSE nextval('@job_live_id_seq') END, updated_at = $2
      FROM got WHERE j.id = got.id AND $3 IS NULL
    RETURNING j.status, j.job_type, j.queue, j.tenant_id, )" FAIRQ_PLACE("j.position") R"( AS place
), gone AS (
    DELETE FROM @job_live j USING got WHERE j.id = got.id AND $3 IS NOT NULL RETURNING j.*
), cancelled AS (
    INSERT INTO @job_history ()" FAIRQ_BEFORE_STATUS R"(, status, )" FAIRQ_AFTER_STATUS R"(, last_error, finished_at)
    SELECT )" FAIRQ_BEFORE_STATUS R"(, 'cancelled', )" FAIRQ_AFTER_STATUS R"(, $3, $2 FROM gone
    RETURNING status, job_type, queue, tenant_id, NULL::bigint
)
SELECT array_position(enum_range(NULL::@job_status), status) - 1, count(*), count(*) FILTER (WHERE job_type = 'load_test'),
       array_agg(DISTINCT tenant_id), queue, min(place), max(place)
  FROM (SELECT * FROM promoted UNION ALL SELECT * FROM cancelled) AS moved
 GROUP BY status, queue
)" FAIRQ_SWALLOWED("gone", "cancelled"), {INT8ARRAYOID, TIMESTAMPTZOID, TEXTOID}};
struct MovedBlocked {
    enum Column { new_status = 1, jobs, load_test_jobs, tenants, queue, first_place, last_place };
};

// run, when the step was (NULL: it was the last one), behind which stage, priority, id the next one begins
const pg::Statement kStepped{pg::Plan::pinned, R"(
UPDATE @pipeline_runs SET advanced_at = $2, step_stage = $3, step_priority = $4::smallint, step_id = $5 WHERE id = $1)", {INT8OID, TIMESTAMPTZOID, INT4OID, INT4OID, INT8OID}};

// run → one of its blocked jobs that could not be moved
const pg::Statement kFailingJob{pg::Plan::pinned, R"(
SELECT f.id FROM @housekeeping_failures f JOIN @job_live j ON j.id = f.id
 WHERE f.kind = 'job' AND f.step = 'advance' AND j.run_id = $1 AND j.status = 'blocked' LIMIT 1)", {INT8OID}};

// clang-format on

// A run with steps left, which this transaction has locked.
struct Run {
    int64 id;
    bool failed; // its blocked jobs are cancelled, else those of its stage are promoted
    int32 stage;
    int32 step_stage, step_priority; // behind which job to go on
    int64 step_id;
    std::string error;

    explicit Run(const pg::Rows &rows)
        : id(rows.int64_at(0, RunRow::id)), failed(rows.bool_at(0, RunRow::failed)),
          stage(rows.int32_at(0, RunRow::stage)), step_stage(rows.int32_at(0, RunRow::step_stage)),
          step_priority(rows.int32_at(0, RunRow::step_priority)), step_id(rows.int64_at(0, RunRow::step_id)),
          error(rows.is_null(0, RunRow::error) ? "" : rows.text_at(0, RunRow::error)) {}
};

// A place in the order in which the jobs of a run are moved.
struct BlockedJob {
    int64 id;
    int32 stage, priority;
};
constexpr BlockedJob kBeforeAll{0, 0, INT16_MIN};

std::vector<BlockedJob> blocked_jobs(const Run &run, int most) {
    pg::Rows const rows =
        pg::execute(kBlockedJobs, {pg::of(run.id), pg::of(int32{run.failed ? core::kMaxStage : run.stage}),
                                   pg::of(run.step_stage), pg::of(run.step_priority), pg::of(run.step_id),
                                   pg::of(int32{most}), pg::of(any_failures()), pg::of_time(pg::now())});
    std::vector<BlockedJob> jobs;
    for (size_t row = 0; row < rows.size(); ++row)
        jobs.push_back({rows.int64_at(row, BlockedJobRow::id), rows.int32_at(row, BlockedJobRow::stage),
                        rows.int32_at(row, BlockedJobRow::priority)});
    return jobs;
}

void tell(const pg::Rows &moved, size_t row) {
    auto const to = static_cast<core::JobStatus>(moved.int32_at(row, MovedBlocked::new_status));
    int64 const jobs = moved.int64_at(row, MovedBlocked::jobs);
    count_move(core::JobStatus::blocked, to, jobs, moved.int64_at(row, MovedBlocked::load_test_jobs));
    std::vector<std::string> const tenants = moved.texts_at(row, MovedBlocked::tenants);
    if (to == core::JobStatus::queued) // a run is of one tenant
        lane_gained({moved.text_at(row, MovedBlocked::queue), tenants.front()}, jobs,
                    range_in(moved, row, MovedBlocked::first_place));
    if (to == core::JobStatus::scheduled)
        job_due(pg::now()); // or later: the session that leads the waiting ones looks for the time
    if (to == core::JobStatus::cancelled)
        pending_changed({tenants.begin(), tenants.end()}, {-jobs});
}

// Returns how many of them it has moved: not those that another transaction has locked.
int64 move_blocked(const Run &run, const std::vector<BlockedJob> &jobs) {
    if (run.failed)
        ensure_partition();
    Ids ids;
    for (BlockedJob const &job : jobs)
        ids.push_back(job.id);
    pg::Rows const moved =
        pg::execute(kMoveBlocked, {pg::of(ids), pg::of_time(pg::now()),
                                   run.failed ? pg::of(std::string_view(run.error)) : pg::Value{}});
    refuse_swallowed(moved, "job_history");
    int64 all = 0;
    for (size_t row = 0; row < moved.size(); ++row) {
        tell(moved, row);
        all += moved.int64_at(row, MovedBlocked::jobs);
    }
    return all;
}

void set_step(const Run &run, bool last, const BlockedJob &behind) {
    pg::execute(kStepped, {pg::of(run.id), last ? pg::Value{} : pg::of_time(pg::now()), pg::of(behind.stage),
                           pg::of(behind.priority), pg::of(behind.id)});
}

// All blocked jobs have been looked at. If some could not be moved, the run is passed over like they are, and then
// begins anew.
void end_steps(const Run &run) {
    pg::Rows const failing =
        any_failures() ? pg::execute(kFailingJob, {pg::of(run.id)}) : pg::Rows(kFailingJob, nullptr, 0);
    if (failing.empty()) {
        set_step(run, true, {0, (run.failed ? core::kMaxStage : run.stage) + 1, INT16_MIN});
        return;
    }
    pg::ErrorText error;
    error.code = ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE;
    snprintf(error.message, sizeof error.message, "job %lld of the run cannot be moved",
             static_cast<long long>(failing.int64_at(0, pg::kOnlyColumn)));
    set_step(run, false, kBeforeAll);
    note_failure(Chore::advance, Subject::run, {run.id}, error);
}

// The next stage, if the current one has no unfinished job any more; then a part of its jobs. If one was left out, the
// next step begins where this one did. Returns whether it has moved any.
bool step(Run run, core::Budget &budget) {
    if (!run.failed) {
        pg::Rows const next =
            pg::execute(kFinishStage, {pg::of(run.id), pg::of(run.stage), pg::of_time(pg::now())});
        if (!next.empty()) {
            if (next.is_null(0, pg::kOnlyColumn))
                return true; // completed
            run.stage = next.int32_at(0, pg::kOnlyColumn);
        }
    }
    int const most = budget.chunk();
    int64 const began = pg::monotonic_now();
    std::vector<BlockedJob> const jobs = blocked_jobs(run, most);
    int64 const moved = Apart(Chore::advance, Subject::job, budget)
                            .run(
                                jobs, [&](auto const &some) { return move_blocked(run, some); },
                                [](auto const &job) { return job.id; });
    budget.used(static_cast<int>(moved), began, pg::monotonic_now());
    if (moved < static_cast<int64>(jobs.size()))
        set_step(run, false, {run.step_id, run.step_stage, run.step_priority});
    else if (jobs.size() == static_cast<size_t>(most))
        set_step(run, false, jobs.back());
    else
        end_steps(run);
    return moved > 0;
}

// Takes steps of runs that `take` locks, as many as the budget allows. at: the run that it is at. The lock and the update
// of a run have to be of one transaction level: an enqueue into the run waits for the lock until the update has committed.
template <class Take>
bool take_steps(core::Budget &budget, int64 &at, Take &&take) {
    bool any = false, goes_on = true;
    do {
        pg::check_interrupts();
        pg::Rows const taken = take();
        if (taken.empty())
            break;
        Run const run(taken);
        at = run.id;
        any = true;
        goes_on = step(run, budget);
    } while (goes_on && !budget.spent(pg::monotonic_now()));
    return any;
}

// Marks the run, and takes the next step. At stricter isolation levels the snapshot may be too old for a step: then
// claims and ticks take it.
void job_ended(int64 run, const pg::Value &error, bool claimed) {
    pg::Value const now = pg::of_time(pg::now());
    bool const noted =
        !pg::execute(kJobEnded, {pg::of(run), now, error, claimed ? now : pg::Value{}}).empty();
    if (!noted && !pg::execute(kIsUnfinishedRun, {pg::of(run)}).empty())
        pg::raise_row_swallowed("pipeline_runs");
    if (!noted || IsolationUsesXactSnapshot())
        return;
    core::Budget budget = budget_of_call(core::kRunStep);
    take_steps(budget, run, [&] {
        return pg::execute(kTakeRun, {pg::of(run), pg::of(any_failures()), pg::of_time(pg::now())});
    });
}

// The runs whose stage may be finished. At stricter isolation levels all of them: the snapshot may be too old to tell.
Ids possibly_finished(const std::vector<RunStage> &stages) {
    Ids runs, numbers;
    for (RunStage const &stage : stages) {
        runs.push_back(stage.run);
        numbers.push_back(stage.stage);
    }
    if (IsolationUsesXactSnapshot())
        return runs;
    pg::Rows const rows = pg::execute(kFinishedStages, {pg::of(runs), pg::of(numbers)});
    return ids_in(rows);
}

} // namespace

int64 create_run(std::string_view tenant, std::string_view name) {
    return pg::with_spi([&] {
        pg::Rows const run = pg::execute(kInsertRun, {pg::of(tenant), pg::of(name)});
        if (run.empty())
            pg::raise_row_swallowed("pipeline_runs");
        return run.int64_at(0, pg::kOnlyColumn);
    });
}

core::JobStatus status_in_run(int64 run, int32 stage, const pg::Value &tenants, JobStatus ready) {
    pg::Rows const rows = pg::execute(kJoinRun, {pg::of(run), tenants});
    if (rows.empty())
        pg::raise_unknown_run(run);
    std::string const status = rows.text_at(0, JoinedRun::status);
    int32 const current = rows.int32_at(0, JoinedRun::stage);
    bool const over = status == "completed" || status == "failed";
    if (over || stage < current)
        pg::raise_stage_passed(run, stage, status, over ? std::nullopt : std::optional(current));
    return stage > current ? JobStatus::blocked : ready;
}

// That a run has begun is worth no claim.
void runs_started(const Ids &runs) {
    auto const error = pg::try_subtransaction([&] {
        pg::execute(kStartRuns, {pg::of(runs), pg::of_time(pg::now())});
    });
    if (error)
        report_failure(Chore::advance, *error);
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

void run_failed(int64 run, int64 job_id, core::JobStatus how) {
    std::string const error = "job " + std::to_string(job_id) + " of pipeline run " + std::to_string(run) +
                              (how == core::JobStatus::dead ? " is dead" : " was cancelled");
    job_ended(run, pg::of(std::string_view(error)), how == core::JobStatus::dead);
}

Ids busy_runs(const Ids &runs) {
    return ids_in(pg::execute(kBusyRuns, {pg::of(runs)}));
}

bool advance_runs(int max_jobs, OnlyTenants only) {
    if (IsolationUsesXactSnapshot())
        return false;
    std::optional<TimestampTz> const from = tables::first_advancing_run(pg::schema());
    if (!from)
        return false;
    return pg::with_spi([&] {
        core::Budget budget = budget_of_call(max_jobs);
        int64 at = 0;
        bool any = false;
        auto const error = pg::try_subtransaction([&] {
            any = take_steps(budget, at, [&] {
                return pg::execute(kNextRun, {pg::of_time(*from), array_of(only), pg::of(any_failures()),
                                              pg::of_time(pg::now())});
            });
        });
        if (error && at != 0)
            note_failure(Chore::advance, Subject::run, {at}, *error);
        return any && !error;
    });
}

} // namespace fairq::queue
