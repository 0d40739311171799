// Lengths of time. They are measured by a clock that nobody sets: the wall clock (pg::now()) may be set back or
// forward meanwhile.
#pragma once

#include "pg/boundary.hpp"

namespace fairq::pg {

// Microseconds, from a beginning that means nothing but is the same for all processes of the machine.
inline int64 monotonic_now() {
    instr_time time;
    INSTR_TIME_SET_CURRENT(time);
    return static_cast<int64>(INSTR_TIME_GET_MICROSEC(time));
}

// Microseconds until statement_timeout ends the caller's statement; none: nothing ends it.
std::optional<int64> time_left_of_statement();

} // namespace fairq::pg
