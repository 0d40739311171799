// ledger.hpp: the exact account of a phase, by job id: what was acknowledged against what the database shows.
// Pure: rows go in, counts come out. The words are those that people who test queues know.
#pragma once

#include <map>
#include <string>
#include <vector>

namespace fairq::driver::judge {

struct AcceptedJob {
    long long id;
    std::string tenant;
};

struct JobRow {
    long long id;
    std::string tenant;
    std::string status;
    std::string idempotency_key;
};

struct LedgerInput {
    long long attempted = 0;                 ///< jobs that the driver asked for
    std::vector<AcceptedJob> accepted;       ///< jobs whose enqueue was acknowledged
    std::vector<std::string> unknown_keys;   ///< keys of jobs whose enqueue got no answer
    std::vector<JobRow> rows;                ///< every load-test job that is there
    std::map<long long, long long> messages; ///< job id -> messages in the outbox
    bool at_rest = false;                    ///< nothing moves any more: what is unfinished is stuck
};

struct Ledger {
    long long attempted = 0;
    long long acknowledged = 0;
    long long unknown = 0;
    long long completed = 0; ///< exactly once, with exactly one message
    long long lost = 0;
    long long duplicated = 0;
    long long unexpected = 0;
    long long stuck = 0;
    long long unfinished = 0; ///< still moving when the phase ended
    long long outbox = 0;
    long long dead = 0;
    long long recovered = 0; ///< unknown enqueues that are there
    std::map<std::string, long long> tenant_jobs;
    std::map<std::string, long long> tenant_completed;
    std::vector<std::string> first_bad; ///< the first few offenders, in words

    Ledger &operator+=(const Ledger &other);
};

Ledger classify(const LedgerInput &input);

} // namespace fairq::driver::judge
