// run_lock.hpp: at most one run in a database at a time, and a note in the database of what the run makes
// there, so that `fairq cleanup` can take it away after a driver that was killed.
#pragma once

#include <string>
#include <vector>

#include "db/database.hpp"

namespace fairq::driver::db {

/// An advisory lock of the database, held by a session of its own.
class RunLock {
public:
    RunLock(const std::string &conninfo, const std::string &run_id);

    /// Throws SetupError that names the other run when there is one.
    void take();

    /// Takes it again when its session was lost, with the server say. Throws SetupError when somebody else
    /// has it by now.
    void keep();

private:
    Database database_;
    int backend_ = 0;
};

struct RunNote {
    std::string run_id;
    std::string plan;
    std::string started_at;
    std::vector<std::string> cron_jobs; ///< names that it schedules
};

/// The notes are rows of a table in a schema of their own, which goes with the last of them.
class RunNotes {
public:
    explicit RunNotes(Database &database) : database_(database) {}

    /// Before anything is made. Throws SetupError when the role may not.
    void add(const RunNote &note);
    void remove(const std::string &run_id);

    /// Throws SetupError when the schema belongs to somebody else: what is written there could be anything.
    std::vector<RunNote> all();

private:
    bool exists();

    Database &database_;
};

} // namespace fairq::driver::db
