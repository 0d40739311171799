// Processes of a tick (see tick_segment.hpp). The caller polls its processes' slots to find those that never
// started: only the caller has their handles.
#include "ticks/tick_segment.hpp"

#include "pg/interrupts.hpp"

namespace fairq::ticks {

namespace {

constexpr long kPollMilliseconds = 1000;

struct Processes {
    dsm_segment *segment;
    TickSegment *tick;
    int started; // coordinator included
    BackgroundWorkerHandle *handle[kMaxProcesses];
};

// The caller lets go of the segment, after the tick or because of an error. If the tick is over, what still runs ends by
// itself. Else the processes have to end now. The coordinator ends by itself, after it gave back the jobs that no worker ran; a worker that is running a
// handler is terminated.
void on_caller_detached(dsm_segment *, Datum argument) {
    auto *const processes = reinterpret_cast<Processes *>(DatumGetPointer(argument));
    TickSegment &tick = *processes->tick;
    bool const over = tick.over();
    pg_atomic_write_u32(&tick.stop, 1);
    for (int i = 1; i < processes->started && !over; ++i)
        TerminateBackgroundWorker(processes->handle[i]);
    ConditionVariableBroadcast(&tick.changed);
    for (int i = 0; i < processes->started; ++i)
        pfree(processes->handle[i]);
    pfree(processes);
}

Processes *make_segment(const TickRequest &request, uint32 summary_size) {
    return pg::call([&] {
        Size const size = offsetof(TickSegment, job) +
                          sizeof(TickJob) * static_cast<Size>(request.workers) *
                              static_cast<Size>(request.jobs_per_worker) +
                          summary_size;
        dsm_segment *const segment = dsm_create(size, 0);
        auto *const tick = static_cast<TickSegment *>(dsm_segment_address(segment));
        memset(static_cast<void *>(tick), 0, size);
        tick->request = request;
        tick->summary_size = summary_size;
        tick->caller = MyLatch;
        ConditionVariableInit(&tick->changed);
        for (pg_atomic_uint32 *word : {&tick->phase, &tick->stop, &tick->next_job})
            pg_atomic_init_u32(word, 0);
        for (pg_atomic_uint32 &state : tick->state)
            pg_atomic_init_u32(&state, 0);
        for (uint32 i = 0; i < tick->capacity(); ++i)
            for (pg_atomic_uint32 *word : {&tick->job[i].result, &tick->job[i].cut_off})
                pg_atomic_init_u32(word, 0);
        auto *const processes =
            static_cast<Processes *>(MemoryContextAllocZero(TopMemoryContext, sizeof(Processes)));
        processes->segment = segment;
        processes->tick = tick;
        on_dsm_detach(segment, on_caller_detached, PointerGetDatum(processes));
        return processes;
    });
}

bool start(Processes &processes, dsm_handle handle, int index) {
    return pg::call([&] {
        BackgroundWorker worker{};
        worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
        worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
        worker.bgw_restart_time = BGW_NEVER_RESTART;
        worker.bgw_notify_pid = MyProcPid;
        worker.bgw_main_arg = UInt32GetDatum(handle);
        strlcpy(worker.bgw_library_name, "fairq", sizeof worker.bgw_library_name);
        strlcpy(worker.bgw_function_name, "fairq_tick_process", sizeof worker.bgw_function_name);
        strlcpy(worker.bgw_type, index == 0 ? "fairq coordinator" : "fairq worker", sizeof worker.bgw_type);
        if (index == 0)
            strlcpy(worker.bgw_name, "fairq coordinator", sizeof worker.bgw_name);
        else
            snprintf(worker.bgw_name, sizeof worker.bgw_name, "fairq worker %d", index);
        memcpy(worker.bgw_extra, &index, sizeof index);
        MemoryContext const previous = MemoryContextSwitchTo(TopMemoryContext);
        bool const started = RegisterDynamicBackgroundWorker(&worker, &processes.handle[index]);
        MemoryContextSwitchTo(previous);
        processes.started += started ? 1 : 0;
        return started;
    });
}

void start_all(Processes &processes, dsm_handle handle) {
    int const wanted = processes.tick->request.workers;
    if (!start(processes, handle, 0) || (wanted > 0 && !start(processes, handle, 1)))
        pg::raise_no_worker_slot();
    int workers = std::min(wanted, 1);
    while (workers < wanted && start(processes, handle, workers + 1))
        ++workers;
    for (int i = workers + 1; i <= wanted; ++i)
        processes.tick->mark(i, ProcessState::absent);
    if (workers < wanted)
        pg::warn_fewer_workers(workers, wanted);
}

bool has_slot(const Processes &processes, int index) {
    pid_t pid = 0;
    return GetBackgroundWorkerPid(processes.handle[index], &pid) != BGWH_STOPPED;
}

// Notes processes that have ended or never started; false when the coordinator is among them.
bool coordinator_lives(Processes &processes) {
    for (int i = 0; i < processes.started; ++i)
        if (!has_slot(processes, i)) {
            if (i == 0)
                return false;
            if (processes.tick->state_of(i) != ProcessState::ended)
                processes.tick->mark(i, ProcessState::ended);
        }
    return true;
}

// Waits until the workers that have nothing more to do have ended: the next tick is to find their slots free.
void await_free_slots(const Processes &processes) {
    for (int i = 1; i < processes.started; ++i)
        while (!processes.tick->runs_a_job(i) && has_slot(processes, i))
            pg::sleep_interruptibly(kPollMilliseconds);
}

// Whether the caller can go on: before its coordinator has ended only if that has let it go.
bool may_go_on(Processes &processes) {
    TickPhase const phase = processes.tick->phase_now();
    return phase == TickPhase::left || phase == TickPhase::failed || !coordinator_lives(processes);
}

// The coordinator ignores a cancel, because it has to clean up. But it heeds a lock timeout, which is a SIGINT that the
// process sends to itself.
void heed_lock_timeout_only(SIGNAL_ARGS) {
    if (get_timeout_indicator(LOCK_TIMEOUT, false))
        StatementCancelHandler(postgres_signal_arg);
}

int index_in_tick = 0;
void mark_end(int, Datum segment) {
    auto *const tick = reinterpret_cast<TickSegment *>(DatumGetPointer(segment));
    tick->mark(index_in_tick, ProcessState::ended);
}

} // namespace

void TickSegment::enter(TickPhase next) {
    pg_write_barrier();
    pg_atomic_write_u32(&phase, static_cast<uint32>(next));
    ConditionVariableBroadcast(&changed);
    SetLatch(caller); // at worst that of another session, which took the place of a caller that has gone
}

bool TickSegment::runs_a_job(int index) {
    for (uint32 i = 0; i < jobs; ++i)
        if (job[i].worker == static_cast<uint32>(index) && job[i].result_now() == JobResult::running)
            return true;
    return false;
}

void TickSegment::mark(int index, ProcessState now) {
    pg_write_barrier();
    pg_atomic_write_u32(&state[index], static_cast<uint32>(now));
    ConditionVariableBroadcast(&changed);
}

void TickSegment::wait(long milliseconds) {
    pg::call([&] { ConditionVariableTimedSleep(&changed, milliseconds, PG_WAIT_EXTENSION); });
}

void TickSegment::end_wait() {
    ConditionVariableCancelSleep();
}

std::string run_processes(const TickRequest &request, uint32 summary_size) {
    Processes *const processes = make_segment(request, summary_size);
    TickSegment &tick = *processes->tick;
    start_all(*processes, dsm_segment_handle(processes->segment));
    tick.enter(TickPhase::claiming); // not before: a tick that cannot have its workers does nothing at all
    while (!may_go_on(*processes))
        pg::sleep_interruptibly(kPollMilliseconds);
    TickPhase const phase = tick.phase_now();
    pg_read_barrier();
    pg::ErrorText const error = tick.error;
    bool const ended = phase == TickPhase::done || phase == TickPhase::left;
    std::string summary = ended ? tick.summary() : "";
    if (tick.over())
        await_free_slots(*processes);
    pg::call([&] { dsm_detach(processes->segment); });
    if (phase == TickPhase::failed)
        pg::raise_copied(error);
    if (!ended)
        pg::raise_worker_ended();
    return summary;
}

void process_main(Datum handle, const TickDuties &duties) {
    int index = 0;
    memcpy(&index, MyBgworkerEntry->bgw_extra, sizeof index);
    TickSegment *tick = nullptr;
    pg::call([&] {
        pqsignal(SIGTERM, die);
        if (index == 0)
            pqsignal(SIGINT, heed_lock_timeout_only);
        BackgroundWorkerUnblockSignals();
        CurrentResourceOwner = ResourceOwnerCreate(nullptr, "fairq tick");
        dsm_segment *const segment = dsm_attach(DatumGetUInt32(handle));
        if (segment == nullptr)
            return; // the caller has gone already
        dsm_pin_mapping(segment);
        tick = static_cast<TickSegment *>(dsm_segment_address(segment));
    });
    if (tick == nullptr)
        return;
    index_in_tick = index;
    pg::call([&] {
        // Before the connection is made: this runs last, when a transaction in progress has been rolled back.
        before_shmem_exit(mark_end, PointerGetDatum(tick));
        BackgroundWorkerInitializeConnectionByOid(tick->request.database, tick->request.session_role, 0);
    });
    tick->mark(index, ProcessState::running);
    if (index == 0)
        duties.coordinate(*tick);
    else
        duties.work(*tick, index);
}

} // namespace fairq::ticks
