// measure.hpp: samples and what is said about them, and work on several connections at once.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "connection.hpp"

namespace fairq::bench {

class Samples {
public:
    void add(double value) { values_.push_back(value); }
    void add(const Samples &other) {
        values_.insert(values_.end(), other.values_.begin(), other.values_.end());
    }
    bool empty() const { return values_.empty(); }
    double median() const { return percentile(50); }
    double percentile(double percent) const; ///< nearest rank; 0 of nothing
    double least() const { return percentile(0); }
    double most() const { return percentile(100); }

    /// Sample by sample; both were taken in the same rounds.
    Samples over(const Samples &other) const;

    /// The greater of the two, sample by sample.
    Samples greater_of(const Samples &other) const;

    /// The last half of them.
    Samples late() const;

private:
    std::vector<double> values_;
};

class Stopwatch {
public:
    double seconds() const {
        return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
    }

private:
    std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

using Connections = std::vector<std::unique_ptr<Connection>>;

Connections connect(const std::string &database, int count, bool synchronous_commit);

/// Ends it, and waits until the server has ended it too: its statistics are there then.
void end_session(Connection &admin, std::unique_ptr<Connection> session);

/// work(connection, index) on all of them at once; returns the seconds until the last has ended. An error in
/// one of them is thrown after all threads have ended.
double in_parallel(const Connections &connections,
                   const std::function<void(Connection &, std::size_t)> &work);

/// What has been written to the log so far, in bytes.
double wal_position(Connection &connection);

} // namespace fairq::bench
