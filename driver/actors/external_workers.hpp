// external_workers.hpp: workers outside of the server, each on a thread and a connection of its own.
#pragma once

#include <atomic>
#include <thread>

#include "actors/worker_figures.hpp"

namespace fairq::driver::actors {

/// What the worker with this number, from 0, is to do.
WorkerOrders orders_of(const plan::ExternalWorkersActor &actor, const Stage &stage, int number);

class ExternalWorkers : public Actor {
public:
    ExternalWorkers(const plan::ExternalWorkersActor &actor, const Stage &stage);
    ~ExternalWorkers() override;

    Figures so_far() override { return figures_.so_far(); }
    Figures stop() override;

private:
    class OneWorker;

    void loop(int number);

    const plan::ExternalWorkersActor actor_;
    const Stage stage_;
    std::atomic<bool> stopping_{false};
    WorkerFigures figures_;
    std::vector<std::thread> threads_;
};

} // namespace fairq::driver::actors
