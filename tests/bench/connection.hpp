// connection.hpp: one connection on plain libpq: prepared statements, text values, COPY. Every error ends the
// benchmark.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <libpq-fe.h>

namespace fairq::bench {

class Result {
public:
    explicit Result(PGresult *result) : result_(result, PQclear) {}
    int rows() const { return PQntuples(result_.get()); }
    std::string text(int row = 0, int column = 0) const { return PQgetvalue(result_.get(), row, column); }
    long long integer(int row = 0, int column = 0) const { return std::stoll(text(row, column)); }
    double number(int row = 0, int column = 0) const { return std::stod(text(row, column)); }
    int length(int row, int column) const { return PQgetlength(result_.get(), row, column); }
    const char *raw(int row, int column) const { return PQgetvalue(result_.get(), row, column); }
    PGresult *get() const { return result_.get(); }

private:
    std::shared_ptr<PGresult> result_;
};

class Connection {
public:
    /// To a database of the server that libpq's environment names.
    explicit Connection(const std::string &database);
    ~Connection();
    Connection(const Connection &) = delete;
    Connection &operator=(const Connection &) = delete;

    /// One or more statements as they stand.
    Result run(const std::string &sql);

    /// Prepared at its first use.
    Result query(const std::string &sql, const std::vector<std::string> &values);

    /// Runs it once and returns how many pages of shared memory it read.
    long long buffers(const std::string &sql, const std::vector<std::string> &values);

    /// COPY … FROM STDIN of these lines.
    void copy(const std::string &sql, const std::string &lines);

private:
    const std::string &prepare(const std::string &sql); ///< returns its name
    void check(const PGresult *result, const std::string &sql) const;

    PGconn *connection_;
    std::map<std::string, std::string> prepared_;
};

/// An empty database with the extension, in place of one of that name.
void make_database(const std::string &name);
void drop_database(const std::string &name);

} // namespace fairq::bench
