// The processes of a tick and what they share: a caller, a coordinator (process 0) and workers (1 … n), one
// dynamic shared memory segment. The caller fills in the request and starts the other processes; when it lets go of
// the segment before the coordinator has let it go, for whatever reason, they end.
#pragma once

#include "core/limits.hpp"
#include "pg/errors.hpp"

namespace fairq::ticks {

constexpr int kMaxProcesses = 65; // the coordinator and at most 64 workers

struct TickRequest {
    Oid database, session_role, role, schema;
    int workers, jobs_per_worker, tenant_cap;
    int64 deadline, patience; // see core/tick_end.hpp; by pg::monotonic_now()
    char queue[core::kMaxQueueBytes + 1];
};

// left: the caller may go on, although handlers still run.
enum class TickPhase : uint32 { starting, claiming, working, left, done, failed };
enum class JobResult : uint32 { waiting, running, completed, failed, lost, taken_back };
enum class ProcessState : uint32 { starting, running, ended, absent }; // absent: there was no slot for it

struct TickJob {
    int64 id;
    uint32 worker; // number of the process that runs or ran it
    pg_atomic_uint32 result;
    pg_atomic_uint32 cut_off; // 1: its worker was ended, because the handler would not end in time

    JobResult result_now() { return static_cast<JobResult>(pg_atomic_read_u32(&result)); }
    void set(JobResult now) { pg_atomic_write_u32(&result, static_cast<uint32>(now)); }
    // From waiting to another state: false, if another process was faster.
    bool begin(JobResult now) {
        auto expected = static_cast<uint32>(JobResult::waiting);
        return pg_atomic_compare_exchange_u32(&result, &expected, static_cast<uint32>(now));
    }
};

// Lives in shared memory: no pointers, no constructors.
struct TickSegment {
    TickRequest request;
    Latch *caller;
    ConditionVariable changed;
    pg_atomic_uint32 phase, stop, next_job;
    pg_atomic_uint32 state[kMaxProcesses];
    pg::ErrorText error; // when phase is failed
    int64 lock_token;    // from here on: written by the coordinator before phase is working
    uint32 jobs;
    uint32 summary_size;
    TickJob job[FLEXIBLE_ARRAY_MEMBER]; // the summary's text lies behind them

    uint32 capacity() const { return static_cast<uint32>(request.workers * request.jobs_per_worker); }
    char *summary() { return reinterpret_cast<char *>(job + capacity()); }
    TickPhase phase_now() { return static_cast<TickPhase>(pg_atomic_read_u32(&phase)); }
    ProcessState state_of(int index) { return static_cast<ProcessState>(pg_atomic_read_u32(&state[index])); }
    bool over() { return phase_now() >= TickPhase::left; } // the caller has nothing more to wait for
    bool runs_a_job(int index);                            // a worker
    bool stopping() { return pg_atomic_read_u32(&stop) != 0; }
    void enter(TickPhase next);             // and wakes all processes of the tick, and the caller
    void mark(int index, ProcessState now); // and wakes all processes of the tick
    void wait(long milliseconds);           // until something changed, or that long
    void end_wait();                        // after the last wait() of a loop
};

// The caller's side: makes the segment, starts the processes, waits until the tick ends or lets it go, returns its
// summary. Raises what the coordinator raised. workers_started is fewer than asked for when slots are short.
std::string run_processes(const TickRequest &request, uint32 summary_size);

// The side of a started process: attaches, connects to the request's database as its session role, hands over
// to coordinate() or work(), and marks its end however it comes.
struct TickDuties {
    void (*coordinate)(TickSegment &tick);
    void (*work)(TickSegment &tick, int index);
};
void process_main(Datum handle, const TickDuties &duties);

} // namespace fairq::ticks
