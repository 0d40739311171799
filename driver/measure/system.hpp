// system.hpp: what the server and the processes did while a phase went on, a sample a second, as plain data, and the
// store that keeps a bounded number of them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace fairq::driver::measure {

/// Of one process, or of several together.
struct ProcessUse {
    int processes = 0;
    double cpu_seconds = 0; ///< so far, those of children that have ended included
    double memory_bytes =
        0; ///< resident and not shared with others: shared_buffers would count once a session
    int descriptors = 0;

    ProcessUse &operator+=(const ProcessUse &other);
};

/// Counters of the server that only grow, until it starts again.
struct ServerCounters {
    double wal_bytes = 0;
    double buffers = 0; ///< of the database: found in shared buffers, or read
    double commits = 0;
    double rollbacks = 0;
};

struct SystemSample {
    double at_seconds = 0; ///< since the phase began
    double seconds = 0;    ///< since the sample before
    ServerCounters counters;
    std::map<std::string, double> waits; ///< "Lock/transactionid" → sessions; "CPU" is running
    double locks_waited_for = 0;
    double dead_rows = 0;
    double database_bytes = 0;
    double horizon_age = 0;        ///< in transactions: how many of them no vacuum may look behind
    double notification_queue = 0; ///< share that is full
    double connections = 0;
    ProcessUse server, driver, workers;
    bool sees_server = false; ///< its processes are on this machine
};

/// Keeps at most so many samples. When more come, neighbours are put together: the counters of the later one, the
/// highest of everything else.
class SystemSamples {
public:
    static constexpr std::size_t kMost = 600;

    explicit SystemSamples(std::size_t most = kMost) : most_(most) {}

    void add(SystemSample sample);
    const std::vector<SystemSample> &all() const { return samples_; }
    long long taken() const { return taken_; }

private:
    void thin();

    std::size_t most_;
    long long taken_ = 0;
    int run_ = 1;     ///< how many samples make one
    int pending_ = 0; ///< how many the last one has
    std::vector<SystemSample> samples_;
};

/// What a phase cost the server, over all its jobs.
struct Cost {
    bool known = false;
    double wal_bytes = 0, buffers = 0, commits = 0;
    double round_trips = 0; ///< statements that workers and senders of the driver sent
};

/// All that was sampled of a phase.
struct SystemFigures {
    SystemSamples samples;
    Cost cost;
    long long missed = 0; ///< moments at which there was no sample
    std::vector<std::string> notes;
};

} // namespace fairq::driver::measure
