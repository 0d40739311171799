// The processes of a tick. Process 0 coordinates: it promotes, reclaims, claims once for all, keeps the lease
// alive, gives back the jobs that no worker ran, and writes the tick's row. The other processes run handlers: a job's
// effect and its completion commit together, if the lease still holds the job; a failing handler fails only its job.
#include "pg/caller.hpp"
#include "pg/clock.hpp"
#include "queue/internal.hpp"
#include "tables/job_row.hpp"
#include "tables/owner.hpp"
#include "ticks/ticks.hpp"

#include <map>

namespace fairq::ticks {

namespace {

// SQL is laid out by hand.
// clang-format off

// workers' claimed, completed, failed; tenants, their claimed; ms, load test?, errors of housekeeping → details
const pg::Statement kAudit{pg::Plan::pinned, R"(
WITH log AS (SELECT nextval('@campaign_audit_log_id_seq') AS id)
INSERT INTO @campaign_audit_log (id, event_type, details)
SELECT log.id, 'job_queue_tick', jsonb_build_object(
           'tick', log.id,
           'claimed', (SELECT coalesce(sum(n), 0) FROM unnest($5) AS n),
           'completed', (SELECT coalesce(sum(n), 0) FROM unnest($2) AS n),
           'failed', (SELECT coalesce(sum(n), 0) FROM unnest($3) AS n),
           'workers', (SELECT jsonb_agg(jsonb_build_object('worker', w.n, 'claimed', w.claimed, 'completed', w.completed,
                                                           'failed', w.failed) ORDER BY w.n)
                         FROM unnest($1, $2, $3) WITH ORDINALITY AS w (claimed, completed, failed, n)),
           'tenants', (SELECT coalesce(jsonb_object_agg(t.tenant, t.claimed), '{}')
                         FROM unnest($4, $5) AS t (tenant, claimed)),
           'ms', $6,
           'load_test', $7,
           'errors', to_jsonb($8))
  FROM log
RETURNING details::text, (details - 'tenants')::text)", {INT8ARRAYOID, INT8ARRAYOID, INT8ARRAYOID, TEXTARRAYOID, INT8ARRAYOID, INT8OID, BOOLOID, TEXTARRAYOID}};
struct TickRow {
    enum Column { details = 1, details_without_tenants };
};

// kind, names, claimed, completed, failed. In the order of names, so that two ticks do not deadlock.
const pg::Statement kAddTotals{pg::Plan::pinned, R"(
INSERT INTO @load_test_totals AS t (kind, name, claimed, completed, failed)
SELECT $1, u.name, u.claimed, u.completed, u.failed
  FROM unnest($2, $3, $4, $5) AS u (name, claimed, completed, failed)
 WHERE u.claimed > 0
 ORDER BY u.name COLLATE "C"
    ON CONFLICT (kind, name) DO UPDATE
   SET claimed = t.claimed + excluded.claimed, completed = t.completed + excluded.completed,
       failed = t.failed + excluded.failed)", {TEXTOID, TEXTARRAYOID, INT8ARRAYOID, INT8ARRAYOID, INT8ARRAYOID}};

// clang-format on

// For the tick's own statements: they may wait for a lock of the caller, which waits for the tick.
constexpr int kLockTimeoutMs = 5000;
constexpr int64 kHeartbeat = 10 * core::kSecond;
constexpr size_t kMostErrors = 20; // in the row of a tick

JobResult result_of(TickJob &job) {
    return static_cast<JobResult>(pg_atomic_read_u32(&job.result));
}
void set_result(TickJob &job, JobResult result) {
    pg_atomic_write_u32(&job.result, static_cast<uint32>(result));
}

// Waits until the tick has come to this phase, or its caller has gone.
void await(TickSegment &tick, TickPhase phase) {
    while (tick.phase_now() < phase && !tick.stopping())
        tick.wait(1000);
    tick.end_wait();
}

// ------------------------------------------------------------------------------------------ coordinator

class Coordinator {
public:
    explicit Coordinator(TickSegment &tick) : tick_(tick), worker_id_("tick " + std::to_string(MyProcPid)) {}

    void run() {
        await(tick_, TickPhase::claiming);
        if (tick_.stopping())
            return;
        auto failed = pg::try_transaction([&] { owner_ = tables::owner_of_extension(pg::schema()); });
        if (!failed) {
            keep_house();
            failed = as_owner([&] { take(); });
        }
        if (!failed) {
            publish();
            wait_for_workers();
            fail_cut_off();
            failed = as_owner([&] { give_back(); });
        }
        if (!failed)
            failed = as_owner([&] { audit(); });
        if (failed)
            tick_.error = *failed;
        tick_.enter(failed ? TickPhase::failed : TickPhase::done);
    }

private:
    template <class F>
    std::optional<pg::ErrorText> as_owner(F &&body) {
        return pg::try_transaction([&] { pg::as_role(owner_, body); });
    }

    int capacity() const { return static_cast<int>(tick_.capacity()); }

    // Each step runs in a transaction of its own: a step that fails is left to the next tick, and this tick goes on.
    void keep_house() {
        errors_ = queue::housekeeping({std::max(capacity(), core::kMaxJobsPerCall), nullptr, true},
                                      [this](auto const &step) { return as_owner(step); })
                      .errors;
    }

    // Runs what this tick does beside its jobs: an error is logged, counted and in the tick's row, and the tick goes on.
    template <class F>
    bool tried(queue::Chore chore, F &&body) {
        auto const error = as_owner(body);
        if (error && errors_.size() < kMostErrors)
            errors_.push_back(queue::reported(chore, *error));
        return !error;
    }

    void take() {
        std::vector<std::string> types;
        for (Handler const &handler : runnable_handlers(tick_.request.role))
            types.push_back(handler.job_type);
        std::sort(types.begin(), types.end());
        core::JobTypes const accepted(std::move(types));
        claim_ = queue::claim({worker_id_, capacity(), tick_.request.tenant_cap, accepted, nullptr});
    }

    void publish() {
        started_ = pg::monotonic_now();
        tick_.lock_token = claim_.lock_token;
        for (size_t i = 0; i < claim_.jobs.size(); ++i)
            tick_.job[i].id = claim_.jobs[i].id;
        tick_.jobs = static_cast<uint32>(claim_.jobs.size());
        tick_.enter(TickPhase::working);
    }

    bool workers_ended() const {
        for (int i = 1; i <= tick_.request.workers; ++i) {
            ProcessState const state = tick_.state_of(i);
            // Without the caller the coordinator does not learn of a worker that never started; if that worker starts
            // later, it finds the stop.
            if (state == ProcessState::running || (state == ProcessState::starting && !tick_.stopping()))
                return false;
        }
        return true;
    }

    void wait_for_workers() {
        int64 const interval = std::min(kHeartbeat, pg::settings::lease_timeout() / 3);
        int64 beat = pg::monotonic_now();
        while (!workers_ended()) {
            tick_.wait(static_cast<long>(interval / 1000));
            if (pg::monotonic_now() - beat < interval)
                continue;
            tick_.end_wait();
            tried(queue::Chore::heartbeat, [&] { queue::heartbeat(claim_.lock_token); });
            beat = pg::monotonic_now();
        }
        tick_.end_wait();
    }

    // Where a handler had to be ended with its worker, the attempt ends like any other that takes too long.
    void fail_cut_off() {
        for (uint32 i = 0; i < tick_.jobs; ++i) {
            TickJob &job = tick_.job[i];
            if (result_of(job) == JobResult::running && pg_atomic_read_u32(&job.cut_off) != 0 &&
                tried(queue::Chore::fail,
                      [&] { queue::fail(job.id, claim_.lock_token, pg::kTimedOut, true); }))
                set_result(job, JobResult::failed);
        }
    }

    // A job that no worker began is not charged an attempt; a job whose worker died while running it is.
    void give_back() {
        queue::Ids waiting;
        for (uint32 i = 0; i < tick_.jobs; ++i)
            if (result_of(tick_.job[i]) == JobResult::waiting)
                waiting.push_back(tick_.job[i].id);
        if (!waiting.empty())
            queue::release(waiting, claim_.lock_token, std::nullopt);
        if (tick_.jobs > 0)
            queue::reclaim_lease(claim_.lock_token);
    }

    struct Sums {
        queue::Ids claimed, completed, failed;
        explicit Sums(size_t size) : claimed(size), completed(size), failed(size) {}
        void add(size_t at, JobResult result) {
            claimed[at] += 1;
            completed[at] += result == JobResult::completed ? 1 : 0;
            failed[at] += result == JobResult::failed ? 1 : 0;
        }
    };

    Sums by_worker(bool load_test_only) const {
        Sums sums(static_cast<size_t>(tick_.request.workers));
        for (uint32 i = 0; i < tick_.jobs; ++i)
            if (tick_.job[i].worker > 0 && (!load_test_only || claim_.jobs[i].load_test))
                sums.add(tick_.job[i].worker - 1, result_of(tick_.job[i]));
        return sums;
    }

    Sums by_tenant(bool load_test_only) const {
        Sums sums(claim_.lanes.size());
        for (uint32 i = 0; i < tick_.jobs; ++i)
            if (!load_test_only || claim_.jobs[i].load_test)
                sums.add(static_cast<size_t>(claim_.jobs[i].lane), result_of(tick_.job[i]));
        return sums;
    }

    static void add_totals(std::string_view kind, const std::vector<std::string_view> &names,
                           const Sums &sums) {
        auto const active =
            std::count_if(sums.claimed.begin(), sums.claimed.end(), [](int64 n) { return n > 0; });
        pg::execute_all(
            kAddTotals, "load_test_totals", static_cast<uint64>(active),
            {pg::of(kind), pg::of(names), pg::of(sums.claimed), pg::of(sums.completed), pg::of(sums.failed)});
    }

    // What the load test's workers and tenants did, summed over all ticks.
    void add_load_test_totals() const {
        std::vector<std::string> workers;
        for (int i = 1; i <= tick_.request.workers; ++i)
            workers.push_back("worker " + std::to_string(i));
        add_totals("worker", {workers.begin(), workers.end()}, by_worker(true));
        add_totals("tenant", {claim_.lanes.begin(), claim_.lanes.end()}, by_tenant(true));
    }

    pg::Rows write_row(bool load_test) const {
        Sums const workers = by_worker(false), tenants = by_tenant(false);
        std::vector<std::string_view> served;
        queue::Ids served_jobs;
        for (size_t i = 0; i < claim_.lanes.size(); ++i)
            if (tenants.claimed[i] > 0) {
                served.push_back(claim_.lanes[i]);
                served_jobs.push_back(tenants.claimed[i]);
            }
        pg::Rows const row =
            pg::execute(kAudit, {pg::of(workers.claimed), pg::of(workers.completed), pg::of(workers.failed),
                                 pg::of(served), pg::of(served_jobs),
                                 pg::of(int64{(pg::monotonic_now() - started_) / 1000}), pg::of(load_test),
                                 pg::of(std::vector<std::string_view>(errors_.begin(), errors_.end()))});
        if (row.empty())
            pg::raise_row_swallowed("campaign_audit_log");
        return row;
    }

    void audit() {
        auto const load_test = static_cast<size_t>(
            std::count_if(claim_.jobs.begin(), claim_.jobs.end(), [](auto &job) { return job.load_test; }));
        pg::with_spi([&] {
            if (load_test > 0)
                add_load_test_totals();
            pg::Rows const row = write_row(load_test > 0 && load_test == claim_.jobs.size());
            std::string summary = row.text_at(0, TickRow::details);
            if (summary.size() >= tick_.summary_size)
                summary = row.text_at(0, TickRow::details_without_tenants);
            strlcpy(tick_.summary(), summary.c_str(), tick_.summary_size);
        });
    }

    TickSegment &tick_;
    std::string const worker_id_;
    Oid owner_ = InvalidOid;
    queue::Claim claim_;
    std::vector<std::string> errors_; // of housekeeping and heartbeats: "step: message"
    int64 started_ = 0;               // by the monotonic clock
};

// ------------------------------------------------------------------------------------------ worker

class Worker {
public:
    Worker(TickSegment &tick, int index, pg::UserSettings user)
        : tick_(tick), index_(static_cast<uint32>(index)), user_(std::move(user)) {}

    void run() {
        await(tick_, TickPhase::working);
        if (tick_.phase_now() != TickPhase::working)
            return;
        for (uint32 i = next(); i < tick_.jobs && !tick_.stopping(); i = next())
            attempt(tick_.job[i]);
    }

private:
    // A worker that is free takes the next job, so that a long job holds up no other job.
    uint32 next() { return pg_atomic_fetch_add_u32(&tick_.next_job, 1); }

    void attempt(TickJob &job) {
        job.worker = index_;
        set_result(job, JobResult::running);
        std::optional<pg::ErrorText> const error = pg::try_transaction([&] { run_and_complete(job); });
        forget_session_state();
        set_result(job, error ? record_failure(job.id, *error) : JobResult::completed);
    }

    void run_and_complete(TickJob &job) {
        if (!OidIsValid(owner_))
            owner_ = tables::owner_of_extension(pg::schema());
        pg::as_role(owner_, [&] {
            pg::with_spi([&] { run_handler(job); });
            if (queue::complete({job.id}, tick_.lock_token).empty())
                pg::raise_lease_lost(job.id, tick_.lock_token);
        });
    }

    void run_handler(TickJob &job) {
        if (!OidIsValid(row_type_))
            row_type_ = row_type_of_view(pg::schema(), "job_queue");
        std::optional<tables::HandledJob> const handled =
            tables::job_of_lease(pg::schema(), job.id, tick_.lock_token, row_type_);
        if (!handled)
            pg::raise_lease_lost(job.id, tick_.lock_token);
        Handler const &handler = handler_of(handled->type);
        pg::OuterRole const outer(handler.run_as.value_or(owner_));
        pg::as_role(handler.run_as.value_or(owner_), [&] {
            pg::with_setting("search_path", user_.search_path.c_str(), [&] {
                pg::with_setting("lock_timeout", user_.lock_timeout.c_str(),
                                 [&] { call_of(handler).run(handled->row, handled->timeout, &job.cut_off); });
            });
        });
        drop_temporary_tables();
    }

    const Handler &handler_of(const std::string &type) {
        if (handlers_.empty())
            for (Handler &handler : runnable_handlers(tick_.request.role))
                handlers_.emplace(handler.job_type, std::move(handler));
        auto const found = handlers_.find(type);
        if (found == handlers_.end())
            pg::raise_bad_argument("no handler for job type \"" + type + "\"",
                                   "Register one with register_job_handler.");
        return found->second;
    }

    const HandlerCall &call_of(const Handler &handler) {
        auto found = calls_.find(handler.job_type);
        if (found == calls_.end())
            found = calls_.emplace(handler.job_type, HandlerCall(handler.function, row_type_)).first;
        return found->second;
    }

    JobResult record_failure(int64 id, const pg::ErrorText &error) {
        if (pg::is_lease_lost(error))
            return JobResult::lost;
        auto const unrecorded = pg::try_transaction(
            [&] { pg::as_role(owner_, [&] { queue::fail(id, tick_.lock_token, error.message, true); }); });
        return unrecorded ? JobResult::lost : JobResult::failed;
    }

    TickSegment &tick_;
    uint32 const index_;
    pg::UserSettings const user_;
    Oid owner_ = InvalidOid, row_type_ = InvalidOid;
    std::map<std::string, Handler> handlers_;
    std::map<std::string, HandlerCall> calls_;
};

} // namespace

void coordinate(TickSegment &tick) {
    pg::use_schema(tick.request.schema);
    pg::pin_settings(kLockTimeoutMs);
    Coordinator(tick).run();
}

void work(TickSegment &tick, int index) {
    pg::use_schema(tick.request.schema);
    Worker(tick, index, pg::pin_settings(kLockTimeoutMs)).run();
}

} // namespace fairq::ticks
