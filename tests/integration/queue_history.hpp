// queue_history.hpp: what was committed, in the order of the commits. By logical decoding: nothing hangs on
// the tables, so claims take the way that they take anywhere. And notes that sessions add to the history.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "test_cluster.hpp"

namespace fairq::test {

using Xid = std::uint64_t;

/// What pg_current_snapshot() says: which of the transactions that committed had done so by then.
class Snapshot {
public:
    explicit Snapshot(const std::string &text);
    bool sees(Xid xid) const;

private:
    Xid end_ = 0;
    std::vector<Xid> in_progress_; // sorted
};

/// A job of job_live as a transaction left it, or took it away.
struct JobChange {
    std::int64_t id = 0;
    bool is_new = false, gone = false;
    std::string tenant, key;
    std::string lock_token; ///< empty: not locked
};

struct CapChange {
    std::string tenant;
    std::optional<int> cap; ///< none: no limit
};

struct Commit {
    Xid xid = 0;
    std::vector<JobChange> jobs; ///< one after the other; a job may change more than once
    std::vector<CapChange> caps;
    std::optional<Snapshot> call_began, call_ended; ///< noted by a session that claims
    std::vector<std::string> caps_in_force;         ///< tenants whose last change has returned to who made it
};

/// The history begins here. Not while transactions run that began before: it waits for their end.
void begin_history(driver::Database &database);

/// All commits since, in their order; ends the history.
std::vector<Commit> end_history(driver::Database &database);

/// Statements that add a note to the history, if the transaction commits. They return no row of use.
std::string note_call_began();
std::string note_call_ended();
std::string note_cap_in_force(const std::string &tenant);

} // namespace fairq::test
