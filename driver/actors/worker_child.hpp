// worker_child.hpp: the hidden verb `fairq worker`: a worker that is a process of its own, driven and heard over lines of
// JSON. First it reads its orders; then {"stop": true} or {"crash": "mid-work"}. What it writes, WorkerChildren reads.
#pragma once

#include <string>

#include "actors/worker_loop.hpp"

namespace fairq::driver::actors {

std::string orders_line(const WorkerOrders &orders);

/// Until it is told to stop or its stdin ends. Throws UsageError when the first line is no orders.
void run_worker_child();

} // namespace fairq::driver::actors
