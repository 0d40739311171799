// The wall between the two error systems. A C++ exception that reaches Postgres's C frames brings the whole
// server down; a Postgres longjmp over C++ frames skips their destructors. So:
//
//   call(f)   runs f, which may raise; a raised error becomes the exception Error. f is a leaf: it creates no
//   C++ object
//             with a destructor. Everything that can allocate, look up a catalog, run SQL or take a lock goes
//             through it.
//   entry(f)  is what every function that Postgres calls consists of: it turns exceptions back into errors,
//   after the
//             catch block, when no exception object is alive any more. SQLSTATE, detail, hint and context
//             survive.
//
// Nobody catches Error but entry() and try_transaction() (transaction.hpp). Clean-up after an error is the
// transaction's abort; destructors only restore process-local state and never raise. Errors are raised in
// errors.cpp, nowhere else.
#pragma once

#include "pg/pg.hpp"

namespace fairq::pg {

// A Postgres error is pending on elog's own stack.
struct Error {};

template <class F>
auto call(F &&f) -> decltype(f()) {
    MemoryContext const context = CurrentMemoryContext;
    sigjmp_buf *const handler = PG_exception_stack;
    ErrorContextCallback *const callbacks = error_context_stack;
    uint32 const holdoff = InterruptHoldoffCount, cancel = QueryCancelHoldoffCount;
    sigjmp_buf here;
    if (sigsetjmp(here, 0) == 0) {
        PG_exception_stack = &here;
        if constexpr (std::is_void_v<decltype(f())>) {
            f();
            PG_exception_stack = handler;
            return;
        } else {
            auto result = f();
            PG_exception_stack = handler;
            return result;
        }
    }
    PG_exception_stack = handler;
    error_context_stack = callbacks;
    InterruptHoldoffCount =
        holdoff; // errfinish zeroed these; a lock released while unwinding would underflow them
    QueryCancelHoldoffCount = cancel;
    MemoryContextSwitchTo(context); // errfinish left us in ErrorContext
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

// Gives way to a cancel or terminate request; to be called in every loop whose length the data decides.
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
