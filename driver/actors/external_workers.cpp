// external_workers.cpp: see external_workers.hpp.
#include "actors/external_workers.hpp"

#include <fmt/format.h>

namespace fairq::driver::actors {

WorkerOrders orders_of(const plan::ExternalWorkersActor &actor, const Stage &stage, int number) {
    WorkerOrders orders;
    orders.conninfo = stage.conninfo;
    orders.schema = stage.schema;
    orders.run_id = stage.run_id;
    orders.worker_id = fmt::format("{}-{}-{}", stage.run_id, actor.name, number + 1);
    orders.batch = actor.batch;
    orders.tenant_cap = actor.tenant_cap;
    orders.work = actor.work;
    orders.fail = actor.fail;
    orders.seed = stage.seed;
    return orders;
}

class ExternalWorkers::OneWorker : public WorkerEvents {
public:
    OneWorker(WorkerFigures &figures, std::size_t number, const std::atomic<bool> &stopping)
        : figures_(figures), number_(number), stopping_(stopping) {}

    bool stopping() override { return stopping_; }
    void count(const std::string &metric, double more) override { figures_.count(metric, more); }
    void time(const std::string &metric, std::int64_t us) override { figures_.time(metric, us); }
    void hold(const ClaimedJob &job) override { figures_.hold(job); }
    void let_go(const ClaimedJob &job) override { figures_.let_go(job); }
    void completion(const std::vector<long long> &ids, judge::Event event) override {
        figures_.completion(ids, event);
    }
    void worked(std::size_t jobs) override { figures_.worked(number_, jobs); }
    void met(const std::exception &error) override { figures_.met(error); }

private:
    WorkerFigures &figures_;
    const std::size_t number_;
    const std::atomic<bool> &stopping_;
};

ExternalWorkers::ExternalWorkers(const plan::ExternalWorkersActor &actor, const Stage &stage)
    : actor_(actor), stage_(stage),
      figures_(actor.name, static_cast<std::size_t>(actor.workers), stage.journal) {
    for (int number = 0; number < actor.workers; ++number)
        threads_.emplace_back([this, number] { loop(number); });
}

ExternalWorkers::~ExternalWorkers() {
    stopping_ = true;
    for (std::thread &thread : threads_)
        if (thread.joinable())
            thread.join();
}

void ExternalWorkers::loop(int number) {
    OneWorker events(figures_, static_cast<std::size_t>(number), stopping_);
    WorkerLoop(orders_of(actor_, stage_, number), events).run();
}

Figures ExternalWorkers::stop() {
    stopping_ = true;
    for (std::thread &thread : threads_)
        thread.join();
    return figures_.end();
}

} // namespace fairq::driver::actors
