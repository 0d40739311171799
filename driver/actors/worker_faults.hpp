// worker_faults.hpp: what can happen to a worker that is a process. Each returns true only when it has happened for
// certain.
#pragma once

#include <functional>
#include <string>

#include "fault/worker_pool.hpp"
#include "units.hpp"

namespace fairq::driver::actors {

/// Sleeps; false when there is no more time.
using Waits = std::function<bool(Milliseconds)>;

/// SIGKILL to one that holds jobs; it has ended by it.
bool kill_worker(fault::WorkerPool &pool, const Waits &wait);

/// SIGSTOP to one that holds jobs, for so long; the kernel says that it is stopped, and it lives on afterwards.
bool freeze_worker(fault::WorkerPool &pool, Milliseconds lasts, const Waits &wait);

/// One kills itself when it gets to that point.
bool crash_worker(fault::WorkerPool &pool, const std::string &point, const Waits &wait);

} // namespace fairq::driver::actors
