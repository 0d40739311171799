// Why a job is not running: the one reason that stands in the way now. Where several do, the one that is told
// is the first of done, running, blocked, scheduled, tenant_paused, type_paused, at_cap, rate_limited,
// key_busy, in_transaction, housekeeping_failed, housekeeping, no_handler, no_worker, waiting. A reason that has to end
// before another can matter stands before it, and one that only a command can end stands before one that ends by itself.
#include "metrics/metrics.hpp"
#include "metrics/why_answer.hpp"
#include "metrics/why_live.hpp"
#include "pg/table_cache.hpp"
#include "queue/handlers.hpp"
#include "queue/limit_check.hpp"
#include "tables/row_holder.hpp"
#include "tables/tenant_lock.hpp"

namespace fairq::metrics {

namespace {

// SQL is laid out by hand.
// clang-format off

// tenant, priority, position, paused types, queue → jobs in front that a claim may take first, those that were looked at
const pg::Statement kJobsAhead{pg::Plan::pinned, R"(
SELECT count(*) FILTER (WHERE e.status = 'queued' AND e.job_type <> ALL ($4) AND NOT EXISTS (
                            SELECT FROM @job_live h WHERE h.tenant_id = $1 AND h.held_key = e.concurrency_key)),
       count(*)
  FROM (SELECT status, job_type, concurrency_key FROM @job_live
         WHERE queue = $5 AND tenant_id = $1 AND position IS NOT NULL AND (priority, position) < ($2::smallint, $3)
         ORDER BY priority, position LIMIT 10001) AS e)", {TEXTOID, INT4OID, INT8OID, TEXTARRAYOID, TEXTOID}};
struct JobsAhead {
    enum Column { claimable = 1, looked_at };
};

// run, stage → unfinished jobs
const pg::Statement kJobsOfStage{pg::Plan::pinned,
    "SELECT count(*) FROM (SELECT FROM @job_live WHERE run_id = $1 AND stage = $2 LIMIT 10001) AS s", {INT8OID, INT4OID}};

// tenant, queue → the tenant's running jobs in other queues
const pg::Statement kRunningElsewhere{pg::Plan::pinned, R"(
SELECT count(*) FROM (SELECT FROM @job_live WHERE tenant_id = $1 AND running_since IS NOT NULL AND queue <> $2 LIMIT 10001) AS e)", {TEXTOID, TEXTOID}};

// job → what the last try of housekeeping to move it failed with: step, SQLSTATE, error, how often, retry
const pg::Statement kFailureOfJob{pg::Plan::pinned, R"(
SELECT step, sqlstate, error, failures, retry_at FROM @housekeeping_failures
 WHERE kind = 'job' AND id = $1 AND step = ANY ($2))", {INT8OID, TEXTARRAYOID}};
struct FailureOfJob {
    enum Column { step = 1, sqlstate, error, failures, retry_at };
};

// clang-format on

std::string quoted(std::string_view text) {
    return "\"" + std::string(text) + "\"";
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

    // The cap counts the tenant's jobs in all queues: so a job may wait for jobs that its own workers never see.
    Answer at_cap(const queue::Verdict &verdict, const queue::TenantLimits &limits) const {
        int64 const elsewhere =
            pg::read_as_of_snapshot(kRunningElsewhere, {pg::of(std::string_view(job_.tenant)),
                                                        pg::of(std::string_view(job_.queue))})
                .int64_at(0, pg::kOnlyColumn);
        std::string const where =
            elsewhere > 0 ? ", " + std::to_string(elsewhere) + " of them in other queues" : "";
        return answer("at_cap",
                      "Its tenant " + quoted(job_.tenant) + " has " + std::to_string(verdict.running) +
                          " of " + std::to_string(*limits.max_concurrency) + " jobs running" + where + ".",
                      "One of them ends, or set_tenant_limits raises max_concurrency.")
            .with("tenant_id", job_.tenant)
            .number("running", verdict.running)
            .number("running_in_other_queues", elsewhere)
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
        pg::Rows const ahead = pg::read_as_of_snapshot(
            kJobsAhead, {pg::of(job_.tenant), pg::of(job_.priority), pg::of(*job_.position),
                         array_of(queue::paused_types()), pg::of(std::string_view(job_.queue))});
        int64 const position = ahead.int64_at(0, JobsAhead::claimable);
        bool const exact = ahead.int64_at(0, JobsAhead::looked_at) <= kMostCounted;
        Time const last_claim = shared::ring::last_claim(queue_, job_.queue);
        std::optional<Answer> answer =
            nobody_claims(last_claim)
                ? this->answer("no_worker", "Nobody has claimed jobs of its queue for a while.",
                               "Start a worker, or a tick.")
            : position == 0
                ? this->answer("waiting", "It is the next of its tenant.", "The next claims, or ticks.")
                : this->answer("waiting", "Other jobs of its tenant go first.",
                               "Claims, or ticks; more workers, if they are all busy.");
        answer->counted("position", position, exact).with("queue", job_.queue);
        if (of_all_tenants_) {
            std::optional<shared::ring::SchedulePosition> const turn =
                shared::ring::schedule_position(queue_, {job_.queue, job_.tenant});
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
