// Lengths of time (see clock.hpp).
#include "pg/clock.hpp"

namespace fairq::pg {

std::optional<int64> time_left_of_statement() {
    if (!get_timeout_active(STATEMENT_TIMEOUT))
        return std::nullopt;
    return std::max<int64>(0, get_timeout_finish_time(STATEMENT_TIMEOUT) - GetCurrentTimestamp());
}

} // namespace fairq::pg
