// Users' functions (see handler_call.hpp).
#include "ticks/handler_call.hpp"

namespace fairq::ticks {

namespace {

constexpr int kCancelEveryMs = 100, kGraceMs = 5000;

// The time of the handler that is running; what the signal handler below works with.
TimeoutId overtime = MAX_TIMEOUTS; // not registered yet
volatile sig_atomic_t cancels = 0;
pg_atomic_uint32 *cut_off_word = nullptr;

// Runs in a signal handler, when the job handler's time is up. It cancels as the statement timeout does, with the same
// message. A job handler that catches the cancel gains no time: the next cancel comes soon, and the last one is a
// SIGTERM, which cannot be caught.
void cancel_again() {
    cancels = cancels + 1;
    if (cancels > kGraceMs / kCancelEveryMs) {
        pg_atomic_write_u32(cut_off_word, 1);
        kill(MyProcPid, SIGTERM);
        return;
    }
    enable_timeout_after(STATEMENT_TIMEOUT, 1);
    enable_timeout_after(overtime, kCancelEveryMs);
}

// These two run inside call().
void start_time(int64 timeout, pg_atomic_uint32 *cut_off) {
    if (overtime == MAX_TIMEOUTS)
        overtime = RegisterTimeout(USER_TIMEOUT, cancel_again);
    cancels = 0;
    cut_off_word = cut_off;
    enable_timeout_after(overtime, static_cast<int>(std::max<int64>(1, timeout / 1000)));
}

void end_time() {
    disable_timeout(overtime, false);
    disable_timeout(STATEMENT_TIMEOUT, true); // a cancel that is pending is still raised as the timeout's
    CHECK_FOR_INTERRUPTS();
}

} // namespace

HandlerCall::HandlerCall(const queue::FunctionName &function, Oid argument) {
    plan_ = pg::call([&] {
        const char *const name = quote_qualified_identifier(function.schema.c_str(), function.name.c_str());
        SPIPlanPtr const plan = SPI_prepare(psprintf("SELECT %s($1)", name), 1, &argument);
        if (plan == nullptr)
            elog(ERROR, "could not prepare handler %s: %s", name, SPI_result_code_string(SPI_result));
        SPI_keepplan(plan);
        return plan;
    });
}

void HandlerCall::run(Datum job, int64 timeout, pg_atomic_uint32 *cut_off) const {
    pg::call([&] {
        start_time(timeout, cut_off);
        int const result = SPI_execute_plan(plan_, &job, nullptr, false, 0);
        if (result < 0)
            elog(ERROR, "could not run a handler: %s", SPI_result_code_string(result));
        AfterTriggerFireDeferred(); // as a commit does: until no trigger is left, not even one that such a trigger deferred
        PortalHashTableDeleteAll(); // CLOSE ALL
        end_time();
    });
    if (cancels > 0) // and the handler has caught the cancels
        pg::raise_timed_out();
}

void drop_temporary_tables() {
    pg::call([] { ResetTempTableNamespace(); });
}

void forget_session_state() {
    pg::call([] {
        DropAllPreparedStatements();
        LockReleaseAll(USER_LOCKMETHOD, true);
        ResetSequenceCaches();
    });
}

} // namespace fairq::ticks
