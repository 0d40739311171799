// Handlers that still run when the caller of their tick has gone on. The next tick counts them among its workers, so that
// ticks do not start more and more processes. Each of these handlers has a place, which is a lock that the coordinator of
// its tick holds: the lock ends with that process, however it ends.
#pragma once

#include "pg/boundary.hpp"

namespace fairq::ticks {

// How many handlers the queue's earlier ticks have left; at most 64. queue: the oid of job_live.
int left_handlers(Oid queue);

class LeftHandlers {
public:
    // Takes or gives back places, until this process has one for each of `handlers` handlers. If all are taken by other
    // ticks, the rest has none.
    void keep(Oid queue, int handlers);

private:
    std::vector<uint32> places_;
};

} // namespace fairq::ticks
