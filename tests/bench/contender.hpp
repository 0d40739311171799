// contender.hpp: the queues that are compared. All of them keep the same jobs (200-byte payloads, tenants in
// turn) and give the same columns to the client.
#pragma once

#include <string>
#include <vector>

#include "connection.hpp"

namespace fairq::bench {

constexpr int kBatch = 50; ///< jobs in a claim

struct Contender {
    std::string name;
    std::string about;
    std::string table;    ///< the one that a claim updates
    std::string setup;    ///< makes it; empty for fairq
    std::string claim;    ///< $1 ids (by_id) or how many, $2 token (fairq makes its own)
    std::string complete; ///< $1 ids, $2 token
    bool by_id = false;   ///< the client says which jobs: no queue, a floor
};

/// fairq, the two floors, and what a user would write himself, in this order.
const std::vector<Contender> &contenders();
const Contender &fairq_queue();

/// Empties it, gives it so many jobs of so many tenants, and vacuums.
void load(Connection &connection, const Contender &contender, long long jobs, long long tenants);

/// Adds jobs behind the others.
void add(Connection &connection, const Contender &contender, long long jobs, long long tenants);

struct Batch {
    std::vector<std::string> ids;
    std::string lock_token;
};

/// first: the first id of the batch, for those that are told which jobs. Throws when it is not a full batch.
Batch claim(Connection &connection, const Contender &contender, long long first);
void complete(Connection &connection, const Contender &contender, const Batch &batch);

} // namespace fairq::bench
