// faults.cpp: see faults.hpp.
#include "actors/faults.hpp"

#include <csignal>

#include <fmt/format.h>

#include "actors/worker_faults.hpp"
#include "fault/cluster.hpp"

namespace fairq::driver::actors {
namespace {

using Clock = std::chrono::steady_clock;

constexpr Milliseconds kNap{20};
constexpr Milliseconds kTryFor{15'000};
constexpr Milliseconds kRevivedWithin{90'000};

int signal_of(plan::FaultKind kind) {
    return kind == plan::FaultKind::stop_fast        ? SIGINT
           : kind == plan::FaultKind::stop_immediate ? SIGQUIT
                                                     : SIGKILL;
}

} // namespace

Faults::Faults(const plan::FaultsActor &actor, const Stage &stage) : actor_(actor), stage_(stage) {
    figures_.actor = actor.name;
    thread_ = std::thread([this] { loop(); });
}

Faults::~Faults() {
    stopping_ = true;
    if (thread_.joinable())
        thread_.join();
}

bool Faults::wait_for(Milliseconds duration) const {
    for (const auto end = Clock::now() + duration; Clock::now() < end && !stopping_;)
        std::this_thread::sleep_for(kNap);
    return !stopping_;
}

void Faults::loop() {
    db::Database database(stage_.conninfo, "fault " + stage_.run_id);
    double fired = 0;
    for (long long i = 0; i < actor_.times && wait_for(i == 0 ? actor_.first : actor_.every); ++i)
        fired += strike(database) ? 1 : 0;
    figures_.numbers["faults_fired"] = fired;
    figures_.numbers["faults_fired_ratio"] = fired / static_cast<double>(actor_.times);
    finished_ = true;
}

bool Faults::strike(db::Database &database) {
    FaultWindow window;
    window.from = figures_.seconds();
    window.fired = happens(database);
    window.to = figures_.seconds();
    figures_.windows.push_back(window);
    return window.fired;
}

bool Faults::happens(db::Database &database) {
    try {
        if (actor_.disarmed)
            return false;
        if (strikes_server(actor_.kind))
            return strike_server();
        return strikes_worker(actor_.kind) ? strike_worker() : cut_session(database);
    } catch (const std::exception &error) { // another fault hit this session
        figures_.notes.push_back(error.what());
        return false;
    }
}

/// There may be no such session for a moment, or no server, when another fault has struck.
bool Faults::cut_session(db::Database &database) {
    for (const auto end = Clock::now() + kTryFor; Clock::now() < end && !stopping_;) {
        try {
            const db::Cell cut = database.scalar(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
                "AND application_name = $1 ORDER BY random() LIMIT 1",
                {fmt::format("fairq {} {}", actor_.of, stage_.run_id)});
            if (cut == db::Cell("t"))
                return true;
        } catch (const db::DatabaseError &error) {
            if (!error.connection_lost())
                throw;
        }
        std::this_thread::sleep_for(kNap);
    }
    return false;
}

bool Faults::strike_worker() {
    const Waits wait = [this](Milliseconds duration) { return wait_for(duration); };
    if (actor_.kind == plan::FaultKind::kill_worker)
        return kill_worker(*stage_.pool, wait);
    if (actor_.kind == plan::FaultKind::freeze_worker)
        return freeze_worker(*stage_.pool, actor_.lasts, wait);
    return crash_worker(*stage_.pool, actor_.at, wait);
}

/// The engine starts it again, on the thread that started it before.
bool Faults::strike_server() const {
    const int before = stage_.cluster->revivals();
    stage_.cluster->strike(signal_of(actor_.kind));
    for (const auto end = Clock::now() + kRevivedWithin; Clock::now() < end && !stopping_;) {
        if (stage_.cluster->revivals() > before)
            return true;
        std::this_thread::sleep_for(kNap);
    }
    return false;
}

Figures Faults::stop() {
    stopping_ = true;
    thread_.join();
    return std::move(figures_);
}

} // namespace fairq::driver::actors
