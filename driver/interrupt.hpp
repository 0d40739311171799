// interrupt.hpp: SIGINT, SIGTERM and SIGHUP as a flag that loops look at, so that
// a stopped run still cleans up.
#pragma once

#include "units.hpp"

namespace fairq::driver {

void install_signal_handlers();

/// True once a signal has arrived.
bool interrupted();

/// For tests: as if a signal had arrived, or had not.
void set_interrupted(bool value);

/// Sleeps, at most until a signal arrives; false when one has.
bool pause_for(Milliseconds duration);

} // namespace fairq::driver
