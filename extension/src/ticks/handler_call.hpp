// Running a function of a user for a job.
#pragma once

#include "pg/spi.hpp"
#include "pg/transaction.hpp"
#include "queue/handler_function.hpp"

namespace fairq::ticks {

// A prepared "SELECT schema.name($1)".
class HandlerCall {
public:
    HandlerCall(const queue::FunctionName &function, Oid argument);
    // Runs it, inside with_spi(), with all that it left for the end of the transaction (deferred triggers,
    // held cursors): at commit that would run with the tick's rights. When it takes longer than timeout
    // microseconds it is cancelled, and run() raises 57014, also where the handler catches that and returns.
    // Where it catches that and goes on, it is cancelled again and again, and 5 seconds later this process is
    // terminated; before that, *cut_off becomes 1.
    void run(Datum job, int64 timeout, pg_atomic_uint32 *cut_off) const;

private:
    SPIPlanPtr plan_;
};

// Takes away what a handler may have left in the session for the next one, perhaps of another role: temporary
// tables (in the handler's transaction), prepared statements and advisory locks (after it).
void drop_temporary_tables();
void forget_session_state();

} // namespace fairq::ticks
