// connection.cpp: see connection.hpp.
#include "connection.hpp"

#include <stdexcept>

#include <nlohmann/json.hpp>

namespace fairq::bench {

Connection::Connection(const std::string &database) {
    const char *const names[] = {"dbname", "application_name", nullptr};
    const char *const values[] = {database.c_str(), "fairq bench", nullptr};
    connection_ = PQconnectdbParams(names, values, 0);
    if (PQstatus(connection_) != CONNECTION_OK)
        throw std::runtime_error(PQerrorMessage(connection_));
    run("SET client_min_messages = warning");
}

Connection::~Connection() {
    PQfinish(connection_);
}

void Connection::check(const PGresult *result, const std::string &sql) const {
    const ExecStatusType status = PQresultStatus(result);
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK && status != PGRES_COPY_IN)
        throw std::runtime_error(std::string(PQerrorMessage(connection_)) + "in: " + sql.substr(0, 500));
}

Result Connection::run(const std::string &sql) {
    Result result(PQexec(connection_, sql.c_str()));
    check(result.get(), sql);
    return result;
}

const std::string &Connection::prepare(const std::string &sql) {
    auto statement = prepared_.find(sql);
    if (statement == prepared_.end()) {
        statement = prepared_.emplace(sql, "s" + std::to_string(prepared_.size())).first;
        const Result result(PQprepare(connection_, statement->second.c_str(), sql.c_str(), 0, nullptr));
        check(result.get(), sql);
    }
    return statement->second;
}

long long Connection::buffers(const std::string &sql, const std::vector<std::string> &values) {
    std::string arguments;
    for (const std::string &value : values)
        arguments += (arguments.empty() ? "'" : ", '") + value + "'";
    const Result plan = run("EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) EXECUTE " + prepare(sql) +
                            "(" + arguments + ")");
    const auto root = nlohmann::json::parse(plan.text())[0]["Plan"];
    return root["Shared Hit Blocks"].get<long long>() + root["Shared Read Blocks"].get<long long>();
}

Result Connection::query(const std::string &sql, const std::vector<std::string> &values) {
    const std::string &name = prepare(sql);
    std::vector<const char *> texts;
    for (const std::string &value : values)
        texts.push_back(value.c_str());
    Result result(PQexecPrepared(connection_, name.c_str(), static_cast<int>(texts.size()), texts.data(),
                                 nullptr, nullptr, 0));
    check(result.get(), sql);
    return result;
}

void Connection::copy(const std::string &sql, const std::string &lines) {
    run(sql);
    if (PQputCopyData(connection_, lines.data(), static_cast<int>(lines.size())) != 1 ||
        PQputCopyEnd(connection_, nullptr) != 1)
        throw std::runtime_error(PQerrorMessage(connection_));
    while (PGresult *result = PQgetResult(connection_)) {
        const Result owned(result);
        check(result, sql);
    }
}

void make_database(const std::string &name) {
    drop_database(name);
    Connection("postgres").run("CREATE DATABASE " + name);
    Connection(name).run("CREATE EXTENSION fairq");
}

void drop_database(const std::string &name) {
    Connection("postgres").run("DROP DATABASE IF EXISTS " + name + " WITH (FORCE)");
}

} // namespace fairq::bench
