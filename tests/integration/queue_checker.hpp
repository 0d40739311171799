// queue_checker.hpp: checks that every job was done exactly once, by comparing what producers and workers
// were told with what the tables say. It also has what several queue tests need: jobs, and handlers that
// wait.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "db/database.hpp"
#include "test_cluster.hpp"

namespace fairq::test {

/// FAIRQ_TEST_SEED, or a new one; printed, so that a failure can be seen again.
std::uint64_t test_seed();

/// What the queue told producers and workers.
struct Replies {
    std::vector<std::int64_t> enqueued;
    std::vector<std::int64_t> completed; ///< accepted completions, as often as they were accepted
};

/// One sentence for each kind of thing that is wrong; empty when every job that was enqueued was completed
/// once, and nothing else.
std::vector<std::string> findings(driver::Database &database, const Replies &replies);

/// The ids of so many new jobs, their tenants in turn.
std::vector<std::int64_t> enqueue(driver::Database &database, const std::string &job_type, int jobs,
                                  int tenants);

struct ClaimedJobs {
    std::vector<std::int64_t> ids;
    std::string lock_token;
};

ClaimedJobs claim(driver::Database &database, int max_jobs, int tenant_cap = 1'000'000);

/// The ids that were accepted.
std::vector<std::int64_t> complete(driver::Database &database, const std::vector<std::int64_t> &ids,
                                   const std::string &lock_token);

std::string id_array(const std::vector<std::int64_t> &ids);
std::int64_t number(driver::Database &database, const std::string &query);

/// How many jobs have this status, by the tables.
std::int64_t jobs_with_status(driver::Database &database, const std::string &status);

/// Why the counts in the metrics are not those of the tables; empty when they are, and are not said to be
/// estimated.
std::string metrics_are_wrong(driver::Database &database);

/// Makes job type `gated` wait, in its handler, for as long as close_gate() holds the gate in some session.
void register_gated_handler(driver::Database &database);
void close_gate(driver::Database &database);
void open_gate(driver::Database &database);
bool wait_for_handlers_at_gate(driver::Database &database, int handlers);

/// Waits until no process of a tick is left.
bool ticks_have_ended(driver::Database &database);

} // namespace fairq::test
