// contender.hpp: the queues that are compared. All of them keep the same jobs (200-byte payloads, tenants in
// turn) and give the same columns to the client.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "connection.hpp"

namespace fairq::bench {

constexpr int kBatch = 50; ///< jobs in a claim, where nothing else is said

struct Jobs {
    long long count, tenants;
    long long first = 1; ///< the number of the first one: tenants go on from there
};

struct Ask {
    long long first = 0; ///< the first id of the batch, for those that are told which jobs
    int count = kBatch;
    std::size_t worker = 0; ///< which of the connections asks
};

struct Batch {
    std::vector<std::string> ids, tenants;
    std::string lock_token;
};

class Contender {
public:
    Contender(std::string its_name, std::string about_it, std::string its_table)
        : name(std::move(its_name)), about(std::move(about_it)), table(std::move(its_table)) {}
    virtual ~Contender() = default;
    Contender(const Contender &) = delete;
    Contender &operator=(const Contender &) = delete;

    const std::string name, about;
    const std::string table; ///< the one that a claim updates

    /// Empties it, gives it these jobs, and vacuums.
    void load(Connection &connection, const Jobs &jobs) const;
    void vacuum(Connection &connection) const;

    /// Throws when it is not a full batch with its payloads, unless short batches are this queue's nature.
    Batch claim(Connection &connection, const Ask &ask) const;
    /// Throws when one of them was not accepted.
    void complete(Connection &connection, const Batch &batch) const;

    virtual void clear(Connection &connection) const = 0;
    virtual void add(Connection &connection, const Jobs &jobs) const = 0; ///< behind the others
    virtual Batch take(Connection &connection, const Ask &ask) const = 0; ///< a claim of whatever there is
    virtual long long finish(Connection &connection, const Batch &batch) const = 0; ///< how many

    virtual bool may_be_short() const { return false; }
    virtual void finish_all(Connection &connection) const = 0; ///< whatever is claimed

    /// Can it complete a batch and claim the next one in one call? The call:
    virtual bool swaps() const { return false; }
    virtual Batch swap(Connection &connection, const Batch &done, const Ask &ask) const;

    /// The statement of a claim and its values, to be explained.
    virtual std::pair<std::string, std::vector<std::string>> claim_statement(const Ask &ask) const = 0;
};

using Contenders = std::vector<const Contender *>;

const Contender &fairq_queue();
const Contender &fairq_one_call();    ///< complete_and_claim_jobs
const Contender &floor_pair();        ///< what every queue in SQL pays at least
const Contender &hot_pair();          ///< the limit: HOT updates and nothing else
const Contender &hot_pair_in_order(); ///< the same with the columns that change behind those that do not
const Contender &skip_locked();
const Contender &window_claim();
const Contender &loose_scan();
const Contender &pgq_queue();

/// Does this database's server have PgQ? Does this fairq have that function?
bool has_pgq(Connection &connection);
bool has_function(Connection &connection, const std::string &name);

// For authors of contenders.

/// The same 200 bytes for all contenders, made from the number n.
extern const char *const kPayload;
constexpr const char *kGiven = "q.id, q.tenant_id, q.job_type, q.payload, q.attempts, q.lock_token";
constexpr int kTenantColumn = 1, kPayloadColumn = 3, kTokenColumn = 5;

Batch batch_of(const Result &given, const std::string &who);
std::string array_of(const std::vector<std::string> &plain_words);

} // namespace fairq::bench
