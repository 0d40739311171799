// sampler.hpp: looks at the server once a second, from a connection of its own, and at the processes of server,
// driver and workers. It never fails the run: what it could not see it tells.
#pragma once

#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>

#include "db/database.hpp"
#include "measure/processes.hpp"
#include "measure/system.hpp"
#include "units.hpp"

namespace fairq::driver::actors {

class Sampler {
public:
    /// `schema` is the extension's. Returns at once; the first sample comes a moment later.
    Sampler(const std::string &conninfo, std::string schema, const std::string &run_id,
            Milliseconds every = Milliseconds{1000});
    ~Sampler();
    Sampler(const Sampler &) = delete;
    Sampler &operator=(const Sampler &) = delete;

    /// Ends it and says what the phase cost. Call it when the actors have ended: the server counts what a session
    /// did when the session ends. Once.
    measure::SystemFigures stop();

private:
    void loop();
    void sample();
    void look_for_server();
    void add_counters(measure::SystemSample &sample);
    void add_waits(measure::SystemSample &sample);
    void add_processes(measure::SystemSample &sample) const;
    void wait_for_sessions();
    void settle_cost();
    void tell(const std::string &note);

    const std::string schema_, run_id_;
    const Milliseconds every_;
    const std::chrono::steady_clock::time_point start_;
    db::Database database_;
    pid_t postmaster_ = 0; ///< 0: not on this machine
    int backend_ = 0;      ///< for which that was found out
    bool counted_ = false; ///< there is a first count
    bool restarted_ = false;
    std::string started_; ///< when the server was
    measure::ServerCounters first_, last_;
    long long own_at_first_ = 0; ///< statements of its own
    double last_at_ = 0;
    measure::SystemFigures figures_;
    std::mutex mutex_; // of what follows
    std::condition_variable wake_;
    bool stopping_ = false;
    std::thread thread_;
};

} // namespace fairq::driver::actors
