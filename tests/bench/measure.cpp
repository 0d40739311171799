// measure.cpp: see measure.hpp.
#include "measure.hpp"

#include <algorithm>
#include <exception>
#include <thread>

#include <fmt/format.h>

#include "measure/percentile.hpp"

namespace fairq::bench {

double Samples::percentile(double percent) const {
    return values_.empty() ? 0 : driver::measure::percentile(values_, percent);
}

Samples Samples::over(const Samples &other) const {
    Samples ratios;
    for (std::size_t i = 0; i < std::min(values_.size(), other.values_.size()); ++i)
        ratios.add(values_[i] / other.values_[i]);
    return ratios;
}

Samples Samples::greater_of(const Samples &other) const {
    Samples greater;
    for (std::size_t i = 0; i < std::min(values_.size(), other.values_.size()); ++i)
        greater.add(std::max(values_[i], other.values_[i]));
    return greater;
}

Samples Samples::late() const {
    Samples half;
    half.values_.assign(values_.begin() + static_cast<std::ptrdiff_t>(values_.size() / 2), values_.end());
    return half;
}

Connections connect(const std::string &database, int count, bool synchronous_commit) {
    Connections connections;
    for (int i = 0; i < count; ++i) {
        connections.push_back(std::make_unique<Connection>(database));
        connections.back()->run(
            fmt::format("SET synchronous_commit = {}", synchronous_commit ? "on" : "off"));
    }
    return connections;
}

void end_session(Connection &admin, std::unique_ptr<Connection> session) {
    const std::string pid = session->run("SELECT pg_backend_pid()").text();
    session.reset();
    while (admin.run("SELECT FROM pg_stat_activity WHERE pid = " + pid).rows() > 0)
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
}

double in_parallel(const Connections &connections,
                   const std::function<void(Connection &, std::size_t)> &work) {
    std::vector<std::exception_ptr> errors(connections.size());
    std::vector<std::thread> threads;
    const Stopwatch watch;
    for (std::size_t i = 0; i < connections.size(); ++i)
        threads.emplace_back([&, i] {
            try {
                work(*connections[i], i);
            } catch (...) {
                errors[i] = std::current_exception();
            }
        });
    for (std::thread &thread : threads)
        thread.join();
    const double seconds = watch.seconds();
    for (const std::exception_ptr &error : errors)
        if (error)
            std::rethrow_exception(error);
    return seconds;
}

double wal_position(Connection &connection) {
    return connection.run("SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn").number();
}

} // namespace fairq::bench
