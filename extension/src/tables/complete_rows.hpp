// Completing jobs below SQL: moves their rows from job_live to job_history as DELETE and INSERT would, but without
// planning and without an executor.
#pragma once

#include "pg/values.hpp"

namespace fairq::tables {

struct CompletedJob {
    int64 id;
    bool load_test;
    std::string queue, tenant;
    std::optional<std::string> key; // concurrency key
    int64 run;                      // of a pipeline; 0: none
    int32 stage;
};

// Moves those of the jobs that hold the token, in the order of their ids, and returns them. Where another
// transaction has locked one of them, it waits for the end of that transaction, then looks again. None: nothing was
// done, because one of the tables is not as the script made it, because history has no partition for now, or because
// the transaction has one snapshot for all its statements; then the caller uses SQL.
std::optional<std::vector<CompletedJob>> complete_directly(Oid schema, const std::vector<int64> &sorted_ids,
                                                           int64 lock_token, TimestampTz now);

} // namespace fairq::tables
