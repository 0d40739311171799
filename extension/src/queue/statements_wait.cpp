// The SQL texts of waiting (see statements.hpp).
#include "queue/statements.hpp"

// SQL is laid out by hand.
// clang-format off

namespace fairq::queue::sql {

// now → when the first job behind it is due
const Statement kNextDue{91, Plan::pinned, "SELECT due_at FROM @job_live WHERE due_at > $1 ORDER BY due_at LIMIT 1",
    1, {TIMESTAMPTZOID}};

} // namespace fairq::queue::sql
