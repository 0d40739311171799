// The processes of a tick. Process 0 coordinates: it promotes, reclaims, claims once for all, keeps the lease
// alive, gives back the jobs that no worker ran, writes the tick's row, and sees off handlers that run longer than the
// caller waits. The other processes run handlers: a job's effect and its completion commit together, if the lease still
// holds the job; a failing handler fails only its job.
#include "core/tick_end.hpp"
#include "pg/caller.hpp"
#include "pg/clock.hpp"
#include "queue/internal.hpp"
#include "tables/job_row.hpp"
#include "tables/owner.hpp"
#include "ticks/left_handlers.hpp"
#include "ticks/tick_report.hpp"
#include "ticks/ticks.hpp"

#include <map>

namespace fairq::ticks {

namespace {

// For the tick's own statements: they may wait for a lock of the caller, which waits for the tick.
constexpr int kLockTimeoutMs = 5000;
constexpr int64 kHeartbeat = 10 * core::kSecond;
constexpr size_t kMostErrors = 20; // in the row of a tick

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
        auto failed = pg::try_transaction([&] {
            queue_ = tables::live_table_oid(pg::schema());
            owner_ = tables::owner_of_extension(pg::schema());
        });
        if (!failed) {
            keep_house();
            as_owner([] { queue::note_gone_handlers(); });
            failed = as_owner([&] { take(); });
        }
        bool leaves = false;
        if (!failed) {
            publish();
            leaves = wait_for_workers();
            failed = conclude(leaves);
        }
        if (failed)
            tick_.error = *failed;
        tick_.enter(failed ? TickPhase::failed : leaves ? TickPhase::left : TickPhase::done);
        if (leaves)
            see_off();
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

    // Without a free worker there is nothing to claim: the tick only keeps house.
    void take() {
        if (capacity() == 0)
            return;
        std::vector<std::string> types;
        for (queue::Handler const &handler : queue::runnable_handlers(tick_.request.role))
            types.push_back(handler.job_type);
        std::sort(types.begin(), types.end());
        core::JobTypes const accepted(std::move(types));
        claim_ = queue::claim(
            {tick_.request.queue, worker_id_, capacity(), tick_.request.tenant_cap, accepted, nullptr});
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

    bool a_worker_ended() const {
        for (int i = 1; i <= tick_.request.workers; ++i)
            if (tick_.state_of(i) == ProcessState::ended)
                return true;
        return false;
    }

    int count(JobResult result) const {
        int jobs = 0;
        for (uint32 i = 0; i < tick_.jobs; ++i)
            jobs += tick_.job[i].result_now() == result ? 1 : 0;
        return jobs;
    }

    // Waits until the tick is over for its caller. True: handlers still run, and the caller need not wait for them.
    bool wait_for_workers() {
        core::TickEnd end(tick_.request.deadline, tick_.request.patience);
        while (!workers_ended()) {
            int64 const now = pg::monotonic_now();
            core::TickStep const step = end.next(now, count(JobResult::waiting) > 0, a_worker_ended());
            if (step == core::TickStep::leave)
                break;
            if (step == core::TickStep::take_back)
                take_back();
            else
                sleep(end.asks_again_at() - now);
            settle_ended_workers();
        }
        tick_.end_wait();
        return !workers_ended();
    }

    // Until a process of the tick ends, and not for longer than `longest` microseconds. The lease lives on.
    void sleep(int64 longest) {
        int64 const interval = std::min(kHeartbeat, pg::settings::lease_timeout() / 3);
        tick_.wait(static_cast<long>(std::clamp<int64>(longest, 0, interval) / 1000 + 1));
        if (pg::monotonic_now() - beat_ < interval)
            return;
        tick_.end_wait();
        tried(queue::Chore::heartbeat, [&] { queue::heartbeat(claim_.lock_token); });
        beat_ = pg::monotonic_now();
    }

    // From here on no worker begins one of these jobs.
    void take_back() {
        for (uint32 i = 0; i < tick_.jobs; ++i)
            tick_.job[i].begin(JobResult::taken_back);
    }

    // Where a handler had to be ended with its worker, the attempt ends like any other that takes too long. Where its
    // worker ended for another reason, the job goes back at once, whatever else the tick still runs.
    void settle_ended_workers() {
        queue::Ids lost;
        for (uint32 i = 0; i < tick_.jobs; ++i) {
            TickJob &job = tick_.job[i];
            bool const ended = tick_.state_of(static_cast<int>(job.worker)) == ProcessState::ended;
            pg_read_barrier(); // a worker writes its last result before it ends
            if (!ended || job.result_now() != JobResult::running)
                continue;
            tick_.end_wait();
            bool const failed = pg_atomic_read_u32(&job.cut_off) != 0 && tried(queue::Chore::fail, [&] {
                                    queue::fail(job.id, claim_.lock_token, pg::kTimedOut, true);
                                });
            job.set(failed ? JobResult::failed : JobResult::lost);
            if (!failed)
                lost.push_back(job.id);
        }
        if (!lost.empty())
            tried(queue::Chore::reclaim, [&] { queue::reclaim_jobs(lost, claim_.lock_token); });
    }

    // A job that no worker began is not charged an attempt; a job whose worker died while running it is. If the lease
    // holds jobs that still run, they keep it.
    void give_back(bool leaves) {
        queue::Ids ids;
        for (uint32 i = 0; i < tick_.jobs; ++i)
            if (tick_.job[i].result_now() == JobResult::taken_back)
                ids.push_back(tick_.job[i].id);
        if (!ids.empty())
            queue::release(ids, claim_.lock_token, std::nullopt);
        if (tick_.jobs > 0 && !leaves)
            queue::reclaim_lease(claim_.lock_token);
    }

    // All that is to be done and told before the caller goes on. leaves: handlers still run.
    std::optional<pg::ErrorText> conclude(bool leaves) {
        take_back();
        settle_ended_workers();
        places_.keep(queue_, count(JobResult::running));
        auto const failed = as_owner([&] { give_back(leaves); });
        return failed ? failed : as_owner([&] { report_.write(started_, left_handlers(queue_), errors_); });
    }

    // Handlers still run, and nobody waits for them. Their timeouts go on, too: each ends in the end.
    void see_off() {
        while (!workers_ended()) {
            sleep(kHeartbeat);
            settle_ended_workers();
            places_.keep(queue_, count(JobResult::running));
        }
        tick_.end_wait();
        settle_ended_workers();
        tried(queue::Chore::reclaim, [&] { queue::reclaim_lease(claim_.lock_token); });
        as_owner([&] { report_.write_late(); });
    }

    TickSegment &tick_;
    std::string const worker_id_;
    Oid queue_ = InvalidOid, owner_ = InvalidOid;
    queue::Claim claim_;
    int64 started_ = 0, beat_ = pg::monotonic_now();
    TickReport report_{tick_, claim_};
    LeftHandlers places_;
    std::vector<std::string> errors_; // of housekeeping and heartbeats: "step: message"
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
            if (begin(tick_.job[i]))
                attempt(tick_.job[i]);
    }

private:
    // A worker that is free takes the next job, so that a long job holds up no other job.
    uint32 next() { return pg_atomic_fetch_add_u32(&tick_.next_job, 1); }

    // False: the coordinator has taken the job back.
    bool begin(TickJob &job) {
        job.worker = index_;
        pg_write_barrier();
        return job.begin(JobResult::running);
    }

    void attempt(TickJob &job) {
        std::optional<pg::ErrorText> const error = pg::try_transaction([&] { run_and_complete(job); });
        forget_session_state();
        job.set(error ? record_failure(job.id, *error) : JobResult::completed);
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
            row_type_ = queue::job_row_type();
        std::optional<tables::HandledJob> const handled =
            tables::job_of_lease(pg::schema(), job.id, tick_.lock_token, row_type_);
        if (!handled)
            pg::raise_lease_lost(job.id, tick_.lock_token);
        queue::Handler const &handler = handler_of(handled->type);
        pg::OuterRole const outer(handler.run_as.value_or(owner_));
        pg::as_role(handler.run_as.value_or(owner_), [&] {
            pg::with_setting("search_path", user_.search_path.c_str(), [&] {
                pg::with_setting("lock_timeout", user_.lock_timeout.c_str(),
                                 [&] { call_of(handler).run(handled->row, handled->timeout, &job.cut_off); });
            });
        });
        drop_temporary_tables();
    }

    const queue::Handler &handler_of(const std::string &type) {
        if (handlers_.empty())
            for (queue::Handler &handler : queue::runnable_handlers(tick_.request.role))
                handlers_.emplace(handler.job_type, std::move(handler));
        auto const found = handlers_.find(type);
        if (found == handlers_.end())
            pg::raise_bad_argument("no handler for job type \"" + type + "\"",
                                   "Register one with register_job_handler.");
        return found->second;
    }

    const HandlerCall &call_of(const queue::Handler &handler) {
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
    std::map<std::string, queue::Handler> handlers_;
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
