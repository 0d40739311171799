// errors.hpp: the two ways in which a run never starts. Each carries the sentence that the user
// reads; main turns it into an exit code. Failures of a statement are DatabaseError (database.hpp),
// verdicts are values (verdict.hpp).
#pragma once

#include <stdexcept>

namespace fairq::driver {

/// The command line or the plan is wrong: exit code 104.
struct UsageError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

/// The server, the database or the machine is not ready for the run: exit code 3.
struct SetupError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

/// A signal arrived before the first phase: exit code 105.
struct Interrupted : std::runtime_error {
    Interrupted() : std::runtime_error("stopped by a signal") {}
};

} // namespace fairq::driver
