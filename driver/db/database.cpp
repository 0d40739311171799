// database.cpp: see database.hpp. libpqxx 6, 7 and 7.10 differ in how a list of parameters is passed;
// run_statement() is the only function that knows.
#include "db/database.hpp"

#include <algorithm>
#include <atomic>
#include <thread>

#include <pqxx/pqxx>

namespace fairq::driver::db {
namespace {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

constexpr milliseconds kFirstPause{50};
constexpr milliseconds kLongestPause{1000};

pqxx::result run_statement(pqxx::connection &connection, const std::string &sql,
                           const std::vector<std::string> &params) {
    pqxx::nontransaction transaction(connection);
    if (params.empty())
        return transaction.exec(sql);
#if PQXX_VERSION_MAJOR == 6 || (PQXX_VERSION_MAJOR == 7 && PQXX_VERSION_MINOR < 6)
    return transaction.exec_params(sql, pqxx::prepare::make_dynamic_params(params));
#else
    pqxx::params list;
    for (const std::string &param : params)
        list.append(param);
#if PQXX_VERSION_MAJOR == 7 && PQXX_VERSION_MINOR < 10
    return transaction.exec_params(sql, list);
#else
    return transaction.exec(sql, list);
#endif
#endif
}

Rows to_rows(const pqxx::result &result) {
    Rows rows;
    rows.reserve(static_cast<std::size_t>(result.size()));
    for (const auto &source : result) {
        Row row;
        for (const auto &field : source)
            row.push_back(field.is_null() ? Cell{} : Cell{field.c_str()});
        rows.push_back(std::move(row));
    }
    return rows;
}

/// The server went away, or told us to: connection exceptions and the shutdown codes.
bool means_lost(const std::string &sqlstate) {
    return sqlstate.substr(0, 2) == "08" || sqlstate == "57P01" || sqlstate == "57P02" ||
           sqlstate == "57P03" || sqlstate == "57P05";
}

/// "ERROR:  text\nLINE 1: ...\nDETAIL:  more" as "text DETAIL: more".
std::string one_line(std::string text) {
    if (text.compare(0, 6, "ERROR:") == 0)
        text.erase(0, 6);
    for (std::size_t at = text.find("\nLINE "); at != std::string::npos; at = text.find("\nLINE "))
        text.erase(at, text.find('\n', text.find('\n', at + 1) + 1) - at); // the quoted line and its caret
    std::string line;
    for (const char c : text)
        if (const bool space = c == ' ' || c == '\t' || c == '\n'; !space)
            line += c;
        else if (!line.empty() && line.back() != ' ')
            line += ' ';
    line.erase(line.find_last_not_of(' ') + 1);
    return line;
}

} // namespace

struct Database::Session {
    std::string conninfo;
    std::string purpose;
    milliseconds patience{0};
    std::unique_ptr<pqxx::connection> connection;
    std::atomic<int> pid{0};
    std::atomic<int> connects{0};
};

Database::Database(std::string conninfo, std::string purpose, milliseconds patience)
    : session_(std::make_unique<Session>()) {
    session_->patience = patience;
    session_->conninfo = std::move(conninfo);
    session_->purpose = std::move(purpose);
}

Database::~Database() = default;

void Database::connect() {
    if (session_->connection)
        return;
    try {
        auto connection = std::make_unique<pqxx::connection>(session_->conninfo);
        // libpqxx prints notices to stderr, in the middle of the live line.
        run_statement(*connection, "SET client_min_messages = error", {});
        run_statement(*connection, "SELECT set_config('application_name', $1, false)",
                      {"fairq " + session_->purpose});
        run_statement(*connection, "SELECT set_config('statement_timeout', $1, false)",
                      {std::to_string(session_->patience.count())});
        session_->pid = connection->backendpid();
        session_->connection = std::move(connection);
        ++session_->connects;
    } catch (const pqxx::sql_error &error) {
        throw DatabaseError(one_line(error.what()), error.sqlstate(), means_lost(error.sqlstate()));
    } catch (const pqxx::failure &error) {
        throw DatabaseError(one_line(error.what()), "", true);
    }
}

void Database::disconnect() {
    session_->pid = 0;
    session_->connection.reset();
}

Rows Database::query(const std::string &sql, const std::vector<std::string> &params) {
    connect();
    try {
        return to_rows(run_statement(*session_->connection, sql, params));
    } catch (const pqxx::deadlock_detected &error) { // no sql_error in libpqxx 6, nor is the next
        throw DatabaseError(one_line(error.what()), "40P01", false);
    } catch (const pqxx::serialization_failure &error) {
        throw DatabaseError(one_line(error.what()), "40001", false);
    } catch (const pqxx::sql_error &error) {
        const bool lost = means_lost(error.sqlstate()) || !session_->connection->is_open();
        if (lost)
            disconnect();
        throw DatabaseError(one_line(error.what()), error.sqlstate(), lost);
    } catch (const pqxx::failure &error) { // broken_connection, in_doubt_error
        disconnect();
        throw DatabaseError(one_line(error.what()), "", true);
    }
}

Cell Database::scalar(const std::string &sql, const std::vector<std::string> &params) {
    const Rows rows = query(sql, params);
    return rows.empty() || rows[0].empty() ? Cell{} : rows[0][0];
}

int Database::backend_pid() const {
    return session_->pid;
}

int Database::reconnects() const {
    return std::max(0, session_->connects - 1);
}

const std::string &Database::conninfo() const {
    return session_->conninfo;
}

void with_reconnect(milliseconds patience, const std::function<bool()> &give_up,
                    const std::function<void()> &work) {
    const auto deadline = Clock::now() + patience;
    for (milliseconds pause = kFirstPause;; pause = std::min(pause * 2, kLongestPause)) {
        try {
            return work();
        } catch (const DatabaseError &error) {
            if (!error.connection_lost() || Clock::now() + pause > deadline || give_up())
                throw;
        }
        std::this_thread::sleep_for(pause);
    }
}

std::string array_literal(const std::vector<std::string> &elements) {
    std::string literal = "{";
    for (const std::string &element : elements) {
        literal += literal.size() == 1 ? "\"" : ",\"";
        for (const char c : element) {
            if (c == '"' || c == '\\')
                literal += '\\';
            literal += c;
        }
        literal += '"';
    }
    return literal + "}";
}

} // namespace fairq::driver::db
