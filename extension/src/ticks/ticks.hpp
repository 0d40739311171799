// Ticks: handlers that run inside the database, called by schedulers such as pg_cron. A tick claims jobs once
// and lets a few background workers run their handlers.
#pragma once

#include "queue/queue.hpp"
#include "ticks/handler_call.hpp"
#include "ticks/tick_segment.hpp"

namespace fairq::ticks {

// ------------------------------------------------------------------------------------------ handlers.cpp

void register_handler(std::string_view job_type, Oid function);
bool unregister_handler(std::string_view job_type);
struct Handler {
    std::string job_type;
    FunctionName function;
    std::optional<Oid> run_as; // none: the owner of the extension
};
// The handlers that a tick of this role may run: they exist, and the role may become the one they run as.
std::vector<Handler> runnable_handlers(Oid role);

// ------------------------------------------------------------------------------------------ tick*.cpp

std::string tick(int workers);                          // one tick's summary (JSON)
void run_ticks(int workers, int64 every, int64 during); // in a procedure; microseconds
void coordinate(TickSegment &tick);                     // process 0 of a tick
void work(TickSegment &tick, int index);                // processes 1 … n

} // namespace fairq::ticks
