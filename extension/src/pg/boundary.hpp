// The wall between the two error systems. A C++ exception that reaches PostgreSQL's C frames brings the whole
// server down; a longjmp of PostgreSQL over C++ frames skips their destructors. So:
//
//   call(f)   runs f, which may raise; a raised error becomes the exception Error. f is a leaf: it creates no
//             C++ object with a destructor. Everything that can allocate, look up a catalog, run SQL or take
//             a lock goes through it.
//   entry(f)  is what every function that PostgreSQL calls consists of: it turns exceptions back into errors,
//             after the catch block, when no exception object is alive any more. SQLSTATE, detail, hint and
//             context survive.
//
// Four places catch Error: entry(), and try_transaction(), try_subtransaction() and without_writers() (transaction.hpp);
// the transaction or subtransaction ends with it. The abort cleans up after an error; destructors only restore what belongs to this
// process, and never raise. The errors that a caller can act on are raised in errors.cpp. An error that only a
// broken installation can cause is an elog() where it is found.
#pragma once

#include "pg/pg.hpp"

namespace fairq::pg {

// A Postgres error is pending on elog's own stack.
struct Error {};

// Restores the pointers that a jump or an exception would leave pointing into stack frames that no longer exist.
class ErrorHandlers {
public:
    ErrorHandlers() = default;
    ~ErrorHandlers() {
        PG_exception_stack = handler_;
        error_context_stack = callbacks_;
    }
    ErrorHandlers(const ErrorHandlers &) = delete;
    ErrorHandlers &operator=(const ErrorHandlers &) = delete;

private:
    sigjmp_buf *const handler_ = PG_exception_stack;
    ErrorContextCallback *const callbacks_ = error_context_stack;
};

template <class F>
auto call(F &&f) -> decltype(f()) {
    ErrorHandlers const restored;
    MemoryContext const context = CurrentMemoryContext;
    uint32 const holdoff = InterruptHoldoffCount, cancel = QueryCancelHoldoffCount;
    sigjmp_buf here;
    if (sigsetjmp(here, 0) == 0) {
        PG_exception_stack = &here;
        return f();
    }
    // errfinish() has set these counters to zero; an unwinding that releases a lock would make them negative.
    InterruptHoldoffCount = holdoff;
    QueryCancelHoldoffCount = cancel;
    MemoryContextSwitchTo(context); // errfinish() has switched to ErrorContext
    throw Error{};
}

template <class F>
auto entry(F &&body) -> decltype(body()) {
    bool pending = false;
    int code = ERRCODE_INTERNAL_ERROR;
    char text[256] = "unexpected C++ exception";
    try {
        return body();
    } catch (const Error &) {
        pending = true;
    } catch (const std::bad_alloc &) {
        code = ERRCODE_OUT_OF_MEMORY;
        strlcpy(text, "out of memory", sizeof text);
    } catch (const std::exception &e) {
        strlcpy(text, e.what(), sizeof text);
    } catch (...) {
    }
    if (pending)
        PG_RE_THROW();
    ereport(ERROR, (errcode(code), errmsg_internal("%s", text)));
}

// Raises if a cancel or terminate request is pending; to be called in every loop whose length depends on the data.
inline void check_interrupts() {
    if (unlikely(InterruptPending))
        call([] { ProcessInterrupts(); });
}

} // namespace fairq::pg

// Defines an SQL-callable C function: the exported shell, and a body that may throw.
#define FAIRQ_FUNCTION(name)                                                                                 \
    static Datum name##_body(FunctionCallInfo fcinfo);                                                       \
    extern "C" {                                                                                             \
    extern PGDLLEXPORT const Pg_finfo_record *CppConcat(pg_finfo_, name)(void);                              \
    PGDLLEXPORT Datum name(PG_FUNCTION_ARGS);                                                                \
    PG_FUNCTION_INFO_V1(name);                                                                               \
    Datum name(PG_FUNCTION_ARGS) {                                                                           \
        return ::fairq::pg::entry([&] { return name##_body(fcinfo); });                                      \
    }                                                                                                        \
    }                                                                                                        \
    static Datum name##_body([[maybe_unused]] FunctionCallInfo fcinfo)
