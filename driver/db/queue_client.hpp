// queue_client.hpp: the SQL that the driver speaks to fairq, as C++ functions, and what comes
// back as plain structs. Statements only; nothing is decided here. Parsers of JSON are free
// functions, tested without a server.
#pragma once

#include <functional>
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
    std::vector<std::string> why; ///< why_not_running() of the oldest jobs that are left
    std::vector<std::string> counts;
    std::vector<std::string> oldest_locked;
    std::vector<std::string> last_ticks;
    std::vector<std::string> worker_errors;
};

struct ServerInfo {
    std::string version;
    std::string extension;
    std::string schema; ///< quoted where it must be
    std::string place;  ///< server and database, as people know them
    std::map<std::string, std::string> settings;
};

/// Looks for the extension. Throws SetupError with what to do when it is not there, or is another version
/// than the driver's.
ServerInfo inspect_server(Database &database);

/// Keys with more than one message within the last hour.
struct OutboxDuplicates {
    long long messages = 0; ///< of the run
    long long keys = 0;     ///< of the run's messages
    long long reported = 0; ///< as get_load_test_metrics() counts, without those of others
    long long anybodys = 0; ///< by the plan's own SQL, over everybody's messages: shown, not judged
};

class QueueClient {
public:
    QueueClient(Database &database, std::string schema, std::string run_id = "")
        : database_(database), schema_(std::move(schema)), run_id_(std::move(run_id)) {}

    /// Runs SQL of a plan; ${schema} and ${run_id} are replaced.
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

    /// False when all that is left waits for a time to come, after a failure say.
    bool work_may_run();

    /// The highest id so far.
    long long newest_job();

    /// The jobs that seed_load_test_jobs(…, tenants) made after this one, by id.
    void each_seeded(long long after, long long tenants,
                     const std::function<void(long long id, const std::string &tenant)> &take);

    /// Every load-test job with its messages after that server time, by id; and messages whose job is not
    /// there.
    /// A claim's time is when its call began, which may be a moment before the job was there: early is a second.
    void each_job(const std::string &server_time, const std::function<void(const judge::JobRow &)> &take);

    /// First claim to last completion; nothing when no job is completed.
    std::optional<DrainTimes> drain_times();

    OutboxDuplicates outbox_duplicates();

    /// Load-test ticks after that server time, oldest first.
    std::vector<Tick> ticks_since(const std::string &server_time);

    /// Tenants with a cap on their running jobs.
    std::map<std::string, int> caps();

    /// What should be gone when a phase that began at that server time has drained and its actors have ended, in words.
    std::vector<std::string> leaks(const std::string &server_time);

    StuckReport stuck_report();

private:
    std::string resolved(std::string text) const;
    Rows query(const std::string &sql, const std::vector<std::string> &params = {});
    Cell scalar(const std::string &sql, const std::vector<std::string> &params = {});

    Database &database_;
    std::string schema_;
    std::string run_id_;
};

} // namespace fairq::driver::db
