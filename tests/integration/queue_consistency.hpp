// queue_consistency.hpp: checks that everything that the queue stores about its jobs agrees with its jobs.
#pragma once

#include <string>
#include <vector>

#include "test_cluster.hpp"

namespace fairq::test {

/// One sentence for each kind of thing that does not: counts of the metrics, running rows and caps, parked
/// jobs and keys, idempotency keys, what waits under a max_pending, leases of locked jobs. Empty when all is
/// well and nobody works just now.
std::vector<std::string> contradictions(driver::Database &database);

/// Everything in the tables of a queue, to compare.
std::string all_rows(driver::Database &database);

} // namespace fairq::test
