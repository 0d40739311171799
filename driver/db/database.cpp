// database.cpp: see database.hpp. libpqxx 6, 7 and 7.10 differ in how a list of parameters is passed;
// run_statement() is the only function that knows.
#include "db/database.hpp"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>

#include <sys/socket.h>

#include <pqxx/pqxx>

#include "interrupt.hpp"

namespace fairq::driver::db {
namespace {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

constexpr milliseconds kFirstPause{50};
constexpr milliseconds kLongestPause{1000};
constexpr milliseconds kNap{50};
constexpr milliseconds kCancelPatience{500}; ///< then the socket is shut: the server may be frozen
constexpr std::size_t kFetch = 5000;

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

DatabaseError stopped_by_signal() {
    return {"stopped by a signal", "57014", false};
}

/// A connection that is being opened on a thread of its own, which is left to itself when a signal comes
/// first.
struct Opening {
    std::mutex mutex;
    std::condition_variable changed;
    bool done = false;
    std::unique_ptr<pqxx::connection> connection;
    std::exception_ptr error;

    void run(const std::string &conninfo) {
        std::unique_ptr<pqxx::connection> opened;
        std::exception_ptr failure;
        try {
            opened = std::make_unique<pqxx::connection>(conninfo);
        } catch (...) {
            failure = std::current_exception();
        }
        const std::lock_guard<std::mutex> lock(mutex);
        connection = std::move(opened);
        error = failure;
        done = true;
        changed.notify_all();
    }
};

std::unique_ptr<pqxx::connection> open_connection(const std::string &conninfo, bool undoes) {
    const auto opening = std::make_shared<Opening>();
    std::thread([opening, conninfo] { opening->run(conninfo); }).detach();
    std::unique_lock<std::mutex> lock(opening->mutex);
    while (!opening->done) {
        opening->changed.wait_for(lock, kNap);
        if (!opening->done && !undoes && interrupted())
            throw stopped_by_signal();
    }
    if (opening->error)
        std::rethrow_exception(opening->error);
    return std::move(opening->connection);
}

} // namespace

struct Database::Session {
    std::string conninfo;
    std::string purpose;
    milliseconds patience{0};
    std::unique_ptr<pqxx::connection> connection;
    std::atomic<int> pid{0};
    std::atomic<int> connects{0};
    std::atomic<long long> round_trips{0};
    std::atomic<bool> undoes{false};
    std::mutex mutex; // of what follows, and of `connection` while a statement runs
    bool running = false;
    Clock::time_point first_cancel{};
    StopWhenInterrupted stopper{[this] { stop(); }};

    /// On the stopping thread.
    void stop() {
        const std::lock_guard<std::mutex> lock(mutex);
        if (!running || undoes)
            return;
        if (first_cancel == Clock::time_point{})
            first_cancel = Clock::now();
        if (Clock::now() - first_cancel > kCancelPatience)
            shutdown(connection->sock(), SHUT_RDWR);
        else
            cancel_soon();
    }

    /// On a thread of its own: a frozen server does not answer that either.
    void cancel_soon() {
        const std::string target = conninfo;
        const int backend = pid;
        std::thread([target, backend] {
            try {
                pqxx::connection other(target);
                pqxx::nontransaction(other).exec("SELECT pg_cancel_backend(" + std::to_string(backend) + ")");
            } catch (const std::exception &) { // the statement's socket is next
            }
        }).detach();
    }

    /// A statement runs while this lives.
    class Running {
    public:
        explicit Running(Session &session) : session_(session) {
            const std::lock_guard<std::mutex> lock(session_.mutex);
            if (!session_.undoes && interrupted())
                throw stopped_by_signal();
            session_.running = true;
        }
        ~Running() {
            const std::lock_guard<std::mutex> lock(session_.mutex);
            session_.running = false;
        }
        Running(const Running &) = delete;
        Running &operator=(const Running &) = delete;

    private:
        Session &session_;
    };

    pqxx::result run(const std::string &sql, const std::vector<std::string> &params) {
        const Running now(*this);
        ++round_trips;
        return run_statement(*connection, sql, params);
    }
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
        auto connection = open_connection(session_->conninfo, session_->undoes);
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
        return to_rows(session_->run(sql, params));
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

void Database::stream(const std::string &sql, const std::function<void(const Row &)> &take) {
    try {
        query("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
        query("DECLARE stream NO SCROLL CURSOR FOR " + sql);
        for (std::size_t rows = kFetch; rows == kFetch;) {
            const Rows fetched = query("FETCH " + std::to_string(kFetch) + " FROM stream");
            std::for_each(fetched.begin(), fetched.end(), take);
            rows = fetched.size();
        }
        query("COMMIT");
    } catch (...) {
        disconnect(); // ends the transaction, wherever it is
        throw;
    }
}

void Database::undo() {
    session_->undoes = true;
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

long long Database::round_trips() const {
    return session_->round_trips;
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
        for (const auto end = Clock::now() + pause; Clock::now() < end && !give_up();)
            std::this_thread::sleep_for(std::min<Clock::duration>(kNap, end - Clock::now()));
    }
}

std::string quote_literal(const std::string &text) {
    std::string quoted = "'";
    for (const char c : text)
        quoted += c == '\'' ? std::string("''") : std::string(1, c);
    return quoted + "'";
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
