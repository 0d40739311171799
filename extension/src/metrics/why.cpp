// Why a job is not running: the one reason that stands in the way now. Where several do, the one that is told
// is the first of done, running, blocked, scheduled, tenant_paused, type_paused, at_cap, rate_limited,
// key_busy, in_transaction, housekeeping_failed, housekeeping, no_handler, no_worker, waiting. A reason that has to end
// before another can matter stands before it, and one that only a command can end stands before one that ends by itself.
#include "metrics/metrics.hpp"
#include "metrics/why_answer.hpp"
#include "pg/table_cache.hpp"
#include "queue/handlers.hpp"
#include "queue/limit_check.hpp"
#include "tables/row_holder.hpp"
#include "tables/tenant_lock.hpp"

namespace fairq::metrics {

namespace {

// SQL is laid out by hand.
// clang-format off

// id → version of the row, status, tenant, type, priority, position, due, when it came into this state, attempts,
// max_attempts, error, concurrency key, run, stage, worker, heartbeat, the run's status and stage
const pg::Statement kExplainLive{pg::Plan::pinned, R"(
SELECT j.ctid::text || ' ' || j.xmin::text, array_position(enum_range(NULL::@job_status), j.status) - 1, j.tenant_id,
       j.job_type, j.priority::integer, j.position, j.due_at, j.updated_at, j.attempts, j.max_attempts, j.last_error,
       j.concurrency_key, j.run_id, j.stage, j.locked_by, l.heartbeat_at, r.status, r.stage
  FROM @job_live j
  LEFT JOIN @job_leases l ON l.lock_token = j.lock_token
  LEFT JOIN @pipeline_runs r ON r.id = j.run_id
 WHERE j.id = $1)", {INT8OID}};
struct LiveRow {
    enum Column { version = 1, status, tenant, job_type, priority, position, due_at, updated_at, attempts, max_attempts, last_error, concurrency_key, run, stage, worker, heartbeat_at, run_status, run_stage };
};

// tenant, priority, position, paused types → jobs in front that a claim may take first, those that were looked at
const pg::Statement kJobsAhead{pg::Plan::pinned, R"(
SELECT count(*) FILTER (WHERE e.status = 'queued' AND e.job_type <> ALL ($4) AND NOT EXISTS (
                            SELECT FROM @job_live h WHERE h.tenant_id = $1 AND h.held_key = e.concurrency_key)),
       count(*)
  FROM (SELECT status, job_type, concurrency_key FROM @job_live
         WHERE tenant_id = $1 AND position IS NOT NULL AND (priority, position) < ($2::smallint, $3)
         ORDER BY priority, position LIMIT 10001) AS e)", {TEXTOID, INT4OID, INT8OID, TEXTARRAYOID}};
struct JobsAhead {
    enum Column { claimable = 1, looked_at };
};

// run, stage → unfinished jobs
const pg::Statement kJobsOfStage{pg::Plan::pinned,
    "SELECT count(*) FROM (SELECT FROM @job_live WHERE run_id = $1 AND stage = $2 LIMIT 10001) AS s", {INT8OID, INT4OID}};

// job → what the last try of housekeeping to move it failed with: step, SQLSTATE, error, how often, retry
const pg::Statement kFailureOfJob{pg::Plan::pinned, R"(
SELECT step, sqlstate, error, failures, retry_at FROM @housekeeping_failures
 WHERE kind = 'job' AND id = $1 AND step = ANY ($2))", {INT8OID, TEXTARRAYOID}};
struct FailureOfJob {
    enum Column { step = 1, sqlstate, error, failures, retry_at };
};

// clang-format on

using Time = std::optional<TimestampTz>;
std::string quoted(std::string_view text) {
    return "\"" + std::string(text) + "\"";
}

template <class T>
std::optional<T> if_set(const pg::Rows &rows, int column, T value) {
    return rows.is_null(0, column) ? std::nullopt : std::optional<T>(std::move(value));
}

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
};

std::optional<LiveJob> find_live(int64 id) {
    pg::Rows const row = pg::read_as_of_snapshot(kExplainLive, {pg::of(id)});
    if (row.empty())
        return std::nullopt;
    return LiveJob{id,
                   row.text_at(0, LiveRow::version),
                   static_cast<core::JobStatus>(row.int32_at(0, LiveRow::status)),
                   row.text_at(0, LiveRow::tenant),
                   row.text_at(0, LiveRow::job_type),
                   row.int32_at(0, LiveRow::priority),
                   if_set(row, LiveRow::position, row.int64_at(0, LiveRow::position)),
                   if_set(row, LiveRow::due_at, row.time_at(0, LiveRow::due_at)),
                   row.time_at(0, LiveRow::updated_at),
                   row.int32_at(0, LiveRow::attempts),
                   row.int32_at(0, LiveRow::max_attempts),
                   text_or_none(row, LiveRow::last_error),
                   text_or_none(row, LiveRow::concurrency_key),
                   if_set(row, LiveRow::run, row.int64_at(0, LiveRow::run)),
                   if_set(row, LiveRow::stage, row.int32_at(0, LiveRow::stage)),
                   text_or_none(row, LiveRow::worker),
                   if_set(row, LiveRow::heartbeat_at, row.time_at(0, LiveRow::heartbeat_at)),
                   text_or_none(row, LiveRow::run_status),
                   if_set(row, LiveRow::run_stage, row.int32_at(0, LiveRow::run_stage))};
}

// Judges one job as of the active snapshot. Limits, keys and locks are read a moment later.
class Inquiry {
public:
    Inquiry(LiveJob job, bool of_all_tenants)
        : job_(std::move(job)), of_all_tenants_(of_all_tenants), now_(pg::now()),
          queue_(tables::live_table_oid(pg::schema())), lookups_(pg::schema()),
          limit_check_(lookups_, queue_, now_) {}

    std::string explain() {
        Answer const answer = judge();
        lookups_.finish();
        return answer.json();
    }

private:
    Answer judge() {
        switch (job_.status) {
        case core::JobStatus::locked:
            return running();
        case core::JobStatus::blocked:
            return blocked();
        case core::JobStatus::scheduled:
            if (*job_.due_at > now_)
                return scheduled();
            break;
        default:
            break;
        }
        queue::TenantLimits const limits = queue::limits_of(job_.tenant);
        queue::Verdict const verdict = limit_check_.predict(job_.tenant, limits);
        std::optional<Answer> answer = limited(verdict, limits);
        if (!answer)
            answer = in_transaction(verdict);
        if (!answer && !job_.position)
            answer = aside();
        if (!answer)
            answer = without_handler();
        if (!answer)
            answer = waiting();
        return *std::move(answer);
    }

    Answer answer(const char *reason, const std::string &message, const char *change,
                  Time until = std::nullopt) const {
        return {job_.id, core::name_of(job_.status), reason, message, change, until};
    }

    // A claim or housekeeping has tried to move the job on, and something of a user's refuses it.
    std::optional<Answer> refused(const std::vector<std::string_view> &steps) const {
        pg::Rows const row = pg::read_as_of_snapshot(kFailureOfJob, {pg::of(job_.id), pg::of(steps)});
        if (row.empty())
            return std::nullopt;
        std::string const error = row.text_at(0, FailureOfJob::error);
        return answer("housekeeping_failed", "It cannot be moved: " + error,
                      "Remove what refuses it: an index on an expression, a trigger, a CHECK or a foreign "
                      "key. It is tried again.",
                      row.time_at(0, FailureOfJob::retry_at))
            .with("step", row.text_at(0, FailureOfJob::step))
            .with("sqlstate", row.text_at(0, FailureOfJob::sqlstate))
            .with("error", error)
            .number("failures", row.int32_at(0, FailureOfJob::failures));
    }

    Answer running() const {
        if (std::optional<Answer> failed = refused({"reclaim"}))
            return *std::move(failed);
        std::string const worker = job_.worker.value_or("");
        int64 const silent = now_ - job_.heartbeat_at.value_or(job_.since);
        bool const stale = silent > pg::settings::lease_timeout();
        return answer("running", "Worker " + quoted(worker) + " has it since " + at(job_.since) + ".",
                      stale ? "Its lease is stale: the next claim or tick takes it back."
                            : "Its worker completes, fails or releases it; without a heartbeat for "
                              "fairq.lease_timeout it is taken back.")
            .with("worker", worker)
            .with("since", job_.since)
            .number("heartbeat_age_seconds", std::max<int64>(silent, 0) / core::kSecond)
            .with("stale", stale)
            .number("attempts", job_.attempts)
            .number("max_attempts", job_.max_attempts);
    }

    Answer scheduled() const {
        bool const backs_off = job_.error && job_.attempts > 0;
        return answer("scheduled",
                      (backs_off ? "It failed and is to be tried again at " : "It is to run at ") +
                          at(*job_.due_at) + ".",
                      "Time.", job_.due_at)
            .with("back_off", backs_off)
            .number("attempts", job_.attempts)
            .number("max_attempts", job_.max_attempts)
            .with("last_error", job_.error);
    }

    Answer blocked() const {
        if (std::optional<Answer> failed = refused({"advance"}))
            return *std::move(failed);
        std::string const run = "pipeline run " + std::to_string(job_.run.value_or(0));
        if (job_.run_status == "failed")
            return housekeeping("Its " + run + " has failed, so it will be cancelled.");
        int32 const current = job_.run_stage.value_or(0);
        if (*job_.stage <= current)
            return housekeeping("Stage " + std::to_string(current) + " of its " + run + " has begun.");
        int64 const left = pg::read_as_of_snapshot(kJobsOfStage, {pg::of(*job_.run), pg::of(current)})
                               .int64_at(0, pg::kOnlyColumn);
        return answer("blocked",
                      "Its stage " + std::to_string(*job_.stage) + " begins when stage " +
                          std::to_string(current) + " of " + run + ", and all between, have completed.",
                      "The jobs of the earlier stages complete; a dead or cancelled one fails the run.")
            .number("run_id", *job_.run)
            .number("stage", *job_.stage)
            .number("current_stage", current)
            .counted("jobs_left", left, left <= kMostCounted);
    }

    // What the tenant's limits, a paused type or a concurrency key keep back.
    std::optional<Answer> limited(const queue::Verdict &verdict, const queue::TenantLimits &limits) {
        if (verdict.reason == queue::Verdict::Reason::paused)
            return answer("tenant_paused", "Its tenant " + quoted(job_.tenant) + " is paused.",
                          "set_tenant_limits(tenant_id, paused => false).")
                .with("tenant_id", job_.tenant);
        std::vector<std::string> const &paused = queue::paused_types();
        if (std::binary_search(paused.begin(), paused.end(), job_.type))
            return answer("type_paused", "Jobs of its type " + quoted(job_.type) + " are paused.",
                          "resume_job_type(job_type).")
                .with("job_type", job_.type);
        if (verdict.reason == queue::Verdict::Reason::at_cap)
            return at_cap(verdict, limits);
        if (verdict.reason == queue::Verdict::Reason::out_of_tokens)
            return rate_limited(verdict, limits);
        return key_busy();
    }

    Answer at_cap(const queue::Verdict &verdict, const queue::TenantLimits &limits) const {
        return answer("at_cap",
                      "Its tenant " + quoted(job_.tenant) + " has " + std::to_string(verdict.running) +
                          " of " + std::to_string(*limits.max_concurrency) + " jobs running.",
                      "One of them ends, or set_tenant_limits raises max_concurrency.")
            .with("tenant_id", job_.tenant)
            .number("running", verdict.running)
            .number("max_concurrency", *limits.max_concurrency);
    }

    Answer rate_limited(const queue::Verdict &verdict, const queue::TenantLimits &limits) const {
        return answer("rate_limited",
                      "The rate of its tenant " + quoted(job_.tenant) + " lets the next job go at " +
                          at(verdict.admits_at) + ".",
                      "Time, or set_tenant_limits raises rate_per_second or burst.", verdict.admits_at)
            .with("tenant_id", job_.tenant)
            .number("burst", limits.rate->burst);
    }

    std::optional<Answer> key_busy() {
        if (!job_.key)
            return std::nullopt;
        std::optional<int64> const holder = lookups_.key_holder(job_.tenant, *job_.key);
        if (!holder)
            return std::nullopt;
        return answer("key_busy",
                      "Job " + std::to_string(*holder) + " is running with its concurrency key " +
                          quoted(*job_.key) + ".",
                      "That job ends; the jobs of a key run one after the other.")
            .with("concurrency_key", *job_.key)
            .number("busy_job", *holder);
    }

    // Every claim passes over a job that a transaction in progress has locked.
    std::optional<Answer> in_transaction(const queue::Verdict &verdict) const {
        std::optional<int> const process = tables::holder_of_job(pg::schema(), job_.id);
        if (process)
            return locked("the job", *process > 0 ? std::optional<int64>(*process) : std::nullopt);
        if (job_.key && tables::key_is_locked(queue_, job_.tenant, *job_.key))
            return locked("its concurrency key", std::nullopt);
        if (verdict.reason == queue::Verdict::Reason::busy)
            return locked("the limits of its tenant", std::nullopt);
        return std::nullopt;
    }

    Answer locked(const std::string &what, std::optional<int64> process) const {
        return answer("in_transaction", "A transaction in progress has locked " + what + ".",
                      "It commits or rolls back.")
            .number("pid", process);
    }

    Answer aside() const {
        if (std::optional<Answer> failed = refused({"promote", "unpark"}))
            return *std::move(failed);
        if (job_.due_at)
            return housekeeping("It is due since " + at(*job_.due_at) + ".");
        return housekeeping(job_.key ? "It stands aside behind a job with its concurrency key " +
                                           quoted(*job_.key) + "."
                                     : "Its type " + quoted(job_.type) + " was paused, and is not any more.");
    }

    Answer housekeeping(const std::string &message) const {
        return answer(
            "housekeeping", message,
            "The housekeeping of claims and ticks, which moves a bounded number of jobs at a time.");
    }

    // An external worker may take the job all the same.
    std::optional<Answer> without_handler() const {
        std::optional<std::string> const defect = queue::handler_defect(job_.type);
        if (!defect)
            return std::nullopt;
        return answer("no_handler", "The handler of its type " + quoted(job_.type) + " cannot run.",
                      "register_job_handler, or what is wrong with the handler is put right.")
            .with("job_type", job_.type)
            .with("defect", of_all_tenants_ ? defect : std::nullopt);
    }

    Answer waiting() const {
        if (std::optional<Answer> failed = refused({"claim"}))
            return *std::move(failed);
        pg::Rows const ahead =
            pg::read_as_of_snapshot(kJobsAhead, {pg::of(job_.tenant), pg::of(job_.priority),
                                                 pg::of(*job_.position), array_of(queue::paused_types())});
        int64 const position = ahead.int64_at(0, JobsAhead::claimable);
        bool const exact = ahead.int64_at(0, JobsAhead::looked_at) <= kMostCounted;
        Time const last_claim = shared::ring::last_claim(queue_);
        std::optional<Answer> answer =
            nobody_claims(last_claim) ? this->answer("no_worker", "Nobody has claimed jobs for a while.",
                                                     "Start a worker, or a tick.")
            : position == 0
                ? this->answer("waiting", "It is the next of its tenant.", "The next claims, or ticks.")
                : this->answer("waiting", "Other jobs of its tenant go first.",
                               "Claims, or ticks; more workers, if they are all busy.");
        answer->counted("position", position, exact);
        if (of_all_tenants_) {
            std::optional<shared::ring::SchedulePosition> const turn =
                shared::ring::schedule_position(queue_, job_.tenant);
            answer->number("tenants_ahead", turn ? std::optional<int64>(turn->ahead) : std::nullopt)
                .with("last_claim", last_claim);
        }
        return *std::move(answer);
    }

    // Whether no session has claimed for two lease timeouts in which this job was there. Without shared memory, and on
    // a standby, that is not known: false.
    bool nobody_claims(Time last_claim) const {
        if (!shared::ring::available() || RecoveryInProgress())
            return false;
        TimestampTz const seen = std::max(last_claim.value_or(PgStartTime), job_.since);
        return now_ - seen > 2 * pg::settings::lease_timeout();
    }

    static pg::Value array_of(const std::vector<std::string> &texts) {
        return pg::of(std::vector<std::string_view>(texts.begin(), texts.end()));
    }

    LiveJob const job_;
    bool const of_all_tenants_;
    TimestampTz const now_;
    Oid const queue_;
    tables::LimitLookups lookups_;
    queue::LimitCheck limit_check_;
};
} // namespace

// The answer is read in several steps, between which the job may change: it counts only if the job is unchanged after
// the last one.
std::string why_not_running(int64 job_id, const std::vector<std::string> *only_tenants) {
    return pg::with_spi([&] {
        for (;;) {
            pg::check_interrupts();
            std::string version;
            std::string const answer = pg::table_cache::with_latest_snapshot([&]() -> std::string {
                std::optional<LiveJob> job = find_live(job_id);
                if (job && !is_visible(job->tenant, only_tenants))
                    pg::raise_unknown_job(job_id);
                if (job) {
                    version = job->version;
                    return Inquiry(*std::move(job), only_tenants == nullptr).explain();
                }
                std::optional<std::string> past = explain_finished_job(job_id, only_tenants);
                if (!past)
                    pg::raise_unknown_job(job_id);
                return *std::move(past);
            });
            std::optional<LiveJob> const job =
                pg::table_cache::with_latest_snapshot([&] { return find_live(job_id); });
            if ((job ? job->version : "") == version)
                return answer;
        }
    });
}

} // namespace fairq::metrics
