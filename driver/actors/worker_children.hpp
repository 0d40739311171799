// worker_children.hpp: workers outside of the server, each a process of its own that can be killed, frozen and told to
// crash; one that is gone comes again.
#pragma once

#include <atomic>
#include <thread>

#include "actors/worker_figures.hpp"
#include "fault/worker_pool.hpp"

namespace fairq::driver::actors {

class WorkerChildren : public Actor {
public:
    WorkerChildren(const plan::ExternalWorkersActor &actor, const Stage &stage);
    ~WorkerChildren() override;

    Figures so_far() override { return figures_.so_far(); }
    Figures stop() override;

private:
    class OneChild;

    void loop(int number);
    void run_one(int number);

    const plan::ExternalWorkersActor actor_;
    const Stage stage_;
    std::atomic<bool> stopping_{false};
    WorkerFigures figures_;
    std::vector<std::thread> threads_;
};

} // namespace fairq::driver::actors
