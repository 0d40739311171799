// interrupt.hpp: SIGINT, SIGTERM and SIGHUP as a flag that loops look at, so that a stopped run still cleans
// up; and a way to end what cannot look, a statement on the server for one.
#pragma once

#include <functional>
#include <memory>

#include "units.hpp"

namespace fairq::driver {

void install_signal_handlers();

/// True once a signal has arrived.
bool interrupted();

/// For tests: as if a signal had arrived, or had not.
void set_interrupted(bool value);

/// Sleeps, at most until a signal arrives; false when one has.
bool pause_for(Milliseconds duration);

/// Once a signal has arrived, calls `stop` on a thread of its own, again and again until this object goes:
/// what it stops may have begun in between. It must come back at once.
class StopWhenInterrupted {
public:
    explicit StopWhenInterrupted(std::function<void()> stop);
    ~StopWhenInterrupted();
    StopWhenInterrupted(const StopWhenInterrupted &) = delete;
    StopWhenInterrupted &operator=(const StopWhenInterrupted &) = delete;

private:
    std::function<void()> stop_;
};

} // namespace fairq::driver
