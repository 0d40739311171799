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
// Three places catch Error: entry(), try_transaction() and without_writers() (transaction.hpp), which end a
// transaction or a subtransaction with it. Clean-up after an error is the abort's; destructors only restore
// what belongs to this process, and never raise. The errors that a caller can act on are raised in
// errors.cpp; what cannot happen unless the installation is broken is an elog() in place.
#pragma once

#include "pg/pg.hpp"

namespace fairq::pg {

// A Postgres error is pending on elog's own stack.
struct Error {};

// Puts back what a jump or an exception would leave pointing into frames that are gone.
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
    // errfinish() zeroed these; a lock that is released while the stack unwinds would underflow them.
    InterruptHoldoffCount = holdoff;
    QueryCancelHoldoffCount = cancel;
    MemoryContextSwitchTo(context); // errfinish() left us in ErrorContext
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
