// Ticks: handlers that run inside the database, called by schedulers such as pg_cron. A tick claims jobs once
// and lets a few background workers run their handlers.
#pragma once

#include "queue/handlers.hpp"
#include "ticks/handler_call.hpp"
#include "ticks/tick_segment.hpp"

namespace fairq::ticks {

std::string tick(int workers, std::string_view queue); // one tick's summary (JSON)
void run_ticks(int workers, int64 every, int64 during,
               const std::string &queue); // in a procedure; microseconds
void coordinate(TickSegment &tick);       // process 0 of a tick
void work(TickSegment &tick, int index);  // processes 1 … n

} // namespace fairq::ticks
