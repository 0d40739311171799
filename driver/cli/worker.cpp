// worker.cpp: fairq worker: the hidden verb behind workers that are processes.
#include "actors/worker_child.hpp"
#include "cli/verbs.hpp"

namespace fairq::driver::cli {

int worker(const Options &) {
    actors::run_worker_child();
    return 0;
}

} // namespace fairq::driver::cli
