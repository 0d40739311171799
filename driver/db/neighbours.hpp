// neighbours.hpp: who else uses the queue of this database: other people's jobs, which workers of a run would
// run too, and other workers, which would get the run's jobs.
#pragma once

#include <string>
#include <vector>

#include "db/database.hpp"

namespace fairq::driver::db {

struct Neighbours {
    long long unfinished_jobs = 0;     ///< of other types than load_test; not counted beyond a million
    bool finished_jobs = false;        ///< there are some of other types
    std::vector<std::string> claimers; ///< who claims, in words
};

/// `schema` is the extension's.
Neighbours find_neighbours(Database &database, const std::string &schema);

} // namespace fairq::driver::db
