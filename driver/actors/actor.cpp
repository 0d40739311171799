// actor.cpp: the registry of actors.
#include "actors/actor.hpp"

#include "actors/calls.hpp"
#include "actors/external_workers.hpp"
#include "actors/faults.hpp"
#include "actors/holders.hpp"
#include "actors/load.hpp"
#include "actors/worker_children.hpp"

namespace fairq::driver::actors {
namespace {

template <class Kind, class Specifications>
void add(std::vector<std::unique_ptr<Actor>> &actors, const Specifications &specifications,
         const Stage &stage) {
    for (const auto &specification : specifications)
        actors.push_back(std::make_unique<Kind>(specification, stage));
}

} // namespace

double Figures::seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
}

void Figures::record(const std::string &metric, std::int64_t microseconds) {
    times[metric].record(microseconds);
    spread[metric].record(seconds(), microseconds);
}

void Figures::count_error(const db::DatabaseError &error, bool expected) {
    SqlErrors &errors_of_kind = errors[error.sqlstate()];
    if (errors_of_kind.count++ == 0)
        errors_of_kind.example = error.what();
    errors_of_kind.expected = expected;
}

std::vector<std::unique_ptr<Actor>> make_actors(const plan::Phase &phase, const Stage &stage) {
    std::vector<std::unique_ptr<Actor>> actors;
    add<Holders>(actors, phase.holders, stage); // first: what they hold is held when the others come
    for (const plan::ExternalWorkersActor &workers : phase.external)
        if (workers.process)
            actors.push_back(std::make_unique<WorkerChildren>(workers, stage));
        else
            actors.push_back(std::make_unique<ExternalWorkers>(workers, stage));
    add<LoadSender>(actors, phase.enqueues, stage);
    add<Calls>(actors, phase.calls, stage);
    add<Faults>(actors, phase.faults, stage);
    return actors;
}

} // namespace fairq::driver::actors
