// faults.hpp: what goes wrong in a phase, on purpose and provably: sessions that are cut, a server that is
// stopped or killed. A fault that did not happen is not counted, and a run without one of its faults is
// inconclusive.
#pragma once

#include <atomic>
#include <thread>

#include "actors/actor.hpp"

namespace fairq::driver::actors {

class Faults : public Actor {
public:
    Faults(const plan::FaultsActor &actor, const Stage &stage);
    ~Faults() override;

    /// The load goes on until the last fault.
    bool brings_load() const override { return true; }
    bool finished() const override { return finished_; }
    Figures stop() override;

private:
    void loop();
    bool strike(db::Database &database);
    bool happens(db::Database &database);
    bool cut_session(db::Database &database);
    bool strike_server() const;
    bool strike_worker();
    bool wait_for(Milliseconds duration) const;

    const plan::FaultsActor actor_;
    const Stage stage_;
    std::atomic<bool> stopping_{false}, finished_{false};
    Figures figures_;
    std::thread thread_;
};

} // namespace fairq::driver::actors
