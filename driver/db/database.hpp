// database.hpp: one connection to the server. The only place that knows libpqxx, its versions 6 and 7
// included. Values go in and come out as text; a lost connection is told apart from a failed statement,
// and the next query reconnects.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

namespace fairq::driver::db {

class DatabaseError : public std::runtime_error {
public:
    DatabaseError(const std::string &message, std::string sqlstate, bool connection_lost)
        : std::runtime_error(message), sqlstate_(std::move(sqlstate)), connection_lost_(connection_lost) {}

    const std::string &sqlstate() const { return sqlstate_; }
    bool connection_lost() const { return connection_lost_; }

private:
    std::string sqlstate_;
    bool connection_lost_;
};

using Cell = std::optional<std::string>;
using Row = std::vector<Cell>;
using Rows = std::vector<Row>;

/// Not for use by two threads at once: every actor has its own. A signal ends a running statement within a
/// second, and lets no other begin; not so for who undoes what was done (see undo()).
class Database {
public:
    /// `purpose` shows in pg_stat_activity as "fairq <purpose>"; a statement may take `patience`, 0 for ever.
    /// Nothing is opened before the first query.
    Database(std::string conninfo, std::string purpose, std::chrono::milliseconds patience = {});
    ~Database();
    Database(const Database &) = delete;
    Database &operator=(const Database &) = delete;

    /// Runs one statement, in its own transaction; $1, $2 … are `params`.
    Rows query(const std::string &sql, const std::vector<std::string> &params = {});

    /// Runs a query and hands out its rows one by one, from one snapshot: any number of them.
    void stream(const std::string &sql, const std::function<void(const Row &)> &take);

    /// From now on this session is for taking away what the run made: signals do not end its statements.
    void undo();

    /// The first column of the first row; nothing when there is no row or it is NULL.
    Cell scalar(const std::string &sql, const std::vector<std::string> &params = {});

    void connect();
    void disconnect();

    /// Process id of this session's backend, 0 while there is none. Safe from other threads.
    int backend_pid() const;

    /// How often a lost connection has been opened again.
    int reconnects() const;

    /// Statements that were sent.
    long long round_trips() const;

    const std::string &conninfo() const;

private:
    struct Session;
    std::unique_ptr<Session> session_;
};

/// For statements that take no parameters: 'O''Brien'.
std::string quote_literal(const std::string &text);

/// Calls `work` until it does not lose its connection, at growing intervals, for at most `patience`; after
/// that, and for every other error, the DatabaseError goes to the caller. `give_up` ends the waiting early.
void with_reconnect(std::chrono::milliseconds patience, const std::function<bool()> &give_up,
                    const std::function<void()> &work);

/// An array literal: {"a","b"}.
std::string array_literal(const std::vector<std::string> &elements);

} // namespace fairq::driver::db
