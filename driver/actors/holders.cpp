// holders.cpp: see holders.hpp.
#include "actors/holders.hpp"

namespace fairq::driver::actors {

Holders::Holders(const plan::HoldersActor &actor, const Stage &stage) : name_(actor.name) {
    for (long long i = 0; i < actor.sessions; ++i) {
        auto session = std::make_unique<db::Database>(stage.conninfo, "holder " + stage.run_id);
        session->query("BEGIN ISOLATION LEVEL " + actor.isolation);
        session->query(plan::with_values(
            actor.sql, {{"schema", stage.schema}, {"run_id", stage.run_id}, {"n", std::to_string(i + 1)}}));
        backends_.push_back(session->backend_pid());
        sessions_.push_back(std::move(session));
    }
}

/// A session that was lost meanwhile held nothing: the run was not as planned.
Figures Holders::stop() {
    Figures figures;
    figures.actor = name_;
    double held = 0;
    for (std::size_t i = 0; i < sessions_.size(); ++i) {
        try {
            sessions_[i]->undo();
            sessions_[i]->query("SELECT 1");
            held += sessions_[i]->backend_pid() == backends_[i] ? 1 : 0;
        } catch (const db::DatabaseError &error) {
            figures.notes.push_back(error.what());
        }
        sessions_[i]->disconnect();
    }
    figures.numbers["held_ratio"] = held / static_cast<double>(sessions_.size());
    return figures;
}

} // namespace fairq::driver::actors
