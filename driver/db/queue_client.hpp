// queue_client.hpp: the SQL that the driver speaks to fairq, as C++ functions, and what comes
// back as plain structs. Statements only; nothing is decided here. Parsers of JSON are free
// functions, tested without a server.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "db/database.hpp"
#include "judge/ledger.hpp"

namespace fairq::driver::db {

/// get_load_test_metrics() at one moment.
struct QueueSnapshot {
    std::map<std::string, long long> by_status;
    std::optional<double> oldest_queued_seconds;
    long long duplicates = 0;

    long long unfinished() const;
    long long count(const std::string &status) const;
};

QueueSnapshot parse_snapshot(const std::string &json);

/// One row of the tick ledger.
struct Tick {
    long long claimed = 0;
    long long completed = 0;
    long long failed = 0;
    double ms = 0;
    std::map<std::string, long long> tenants; ///< tenant -> claimed
};

Tick parse_tick(const std::string &json);

struct DrainTimes {
    double seconds = 0;
    long long completed = 0;
};

/// What to look at when a phase does not end.
struct StuckReport {
    std::vector<std::string> counts;
    std::vector<std::string> oldest_locked;
    std::vector<std::string> last_ticks;
    std::vector<std::string> worker_errors;
};

struct ServerInfo {
    std::string version;
    std::string extension;
    std::string schema; ///< quoted where it must be
    std::map<std::string, std::string> settings;
};

/// Looks for the extension. Throws SetupError with what to do when it is not there.
ServerInfo inspect_server(Database &database);

class QueueClient {
public:
    QueueClient(Database &database, std::string schema) : database_(database), schema_(std::move(schema)) {}

    /// Runs SQL of a plan; ${schema} is replaced.
    void run(const std::string &sql);

    std::string server_time();
    long long clear();
    long long seed(long long jobs, long long tenants);
    std::vector<long long> enqueue(const std::vector<std::string> &tenants,
                                   const std::vector<std::string> &payloads,
                                   const std::vector<std::string> &keys);

    QueueSnapshot snapshot();
    bool any_unfinished();
    bool any_jobs();
    std::vector<judge::JobRow> jobs();

    /// Job id -> messages, of load-test jobs, after that server time.
    std::map<long long, long long> messages_since(const std::string &server_time);

    /// First claim to last completion; nothing when no job is completed.
    std::optional<DrainTimes> drain_times();

    /// Keys with more than one message in the last hour, by the plan's own SQL, and how many messages there
    /// are.
    std::pair<long long, long long> outbox_duplicates();

    /// Load-test ticks after that server time, oldest first.
    std::vector<Tick> ticks_since(const std::string &server_time);

    StuckReport stuck_report();

private:
    /// Runs a statement with ${schema} replaced.
    Rows query(const std::string &sql, const std::vector<std::string> &params = {});
    Cell scalar(const std::string &sql, const std::vector<std::string> &params = {});

    Database &database_;
    std::string schema_;
};

} // namespace fairq::driver::db
