// Sleeping in a way that a cancel, a terminate request or a wake-up ends.
#pragma once

#include "pg/boundary.hpp"

namespace fairq::pg {

// Sleeps for `milliseconds`. The process's latch ends the sleep early; a cancel or terminate request raises.
void sleep_interruptibly(long milliseconds);

} // namespace fairq::pg
