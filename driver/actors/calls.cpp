// calls.cpp: see calls.hpp.
#include "actors/calls.hpp"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "interrupt.hpp"

namespace fairq::driver::actors {
namespace {

using Clock = std::chrono::steady_clock;

constexpr Milliseconds kPatience{60'000}; ///< of a statement
constexpr Milliseconds kNap{50};
constexpr Milliseconds kGrace{1'000}; ///< what is planned and has not begun so long after the end is dropped
constexpr std::size_t kKeptNotes = 5;

std::int64_t microseconds(Clock::duration duration) {
    return std::chrono::duration_cast<std::chrono::microseconds>(duration).count();
}

Clock::duration length(const std::vector<plan::Stage> &stages) {
    Milliseconds all{0};
    for (const plan::Stage &stage : stages)
        all += stage.duration;
    return all;
}

} // namespace

std::vector<std::unique_ptr<db::Database>> Calls::open_sessions(const plan::CallsActor &actor,
                                                                const Stage &stage) {
    std::vector<std::unique_ptr<db::Database>> sessions;
    for (long long i = 0; i < actor.connections; ++i) {
        sessions.push_back(
            std::make_unique<db::Database>(stage.conninfo, "calls " + stage.run_id, kPatience));
        if (!actor.fresh)
            sessions.back()->connect();
    }
    return sessions;
}

Calls::Calls(const plan::CallsActor &actor, const Stage &stage)
    : actor_(actor), stage_(stage), sender_(++stage.senders), sessions_(open_sessions(actor, stage)),
      start_(Clock::now()), end_(start_ + length(actor.stages)),
      running_(static_cast<int>(actor.connections)),
      schedule_(actor.stages, actor.poisson, stage.seed + sender_),
      mix_(actor.spread, actor.tenants, stage.seed + sender_) {
    figures_.actor = actor.name;
    for (const char *counter : {"calls_failed", "calls_refused", "calls_dropped"})
        figures_.numbers[counter] = 0;
    for (const auto &session : sessions_)
        threads_.emplace_back([this, &session] { loop(*session); });
}

Calls::~Calls() {
    stopping_ = true;
    for (std::thread &thread : threads_)
        if (thread.joinable())
            thread.join();
}

std::optional<Calls::Planned> Calls::take() {
    const std::lock_guard<std::mutex> lock(mutex_);
    while (const auto next = schedule_.next()) {
        Planned planned;
        planned.at =
            start_ + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(*next));
        planned.n = ++planned_;
        planned.number = judge::job_number(sender_, planned.n);
        planned.tenant = mix_.next();
        if (Clock::now() <= end_ + kGrace)
            return planned;
        figures_.numbers["calls_dropped"] += 1;
    }
    return std::nullopt;
}

bool Calls::wait_until(Clock::time_point when) const {
    for (auto left = when - Clock::now(); left > Clock::duration::zero() && !stopping_;
         left = when - Clock::now())
        std::this_thread::sleep_for(std::min<Clock::duration>(left, kNap));
    return !stopping_;
}

void Calls::loop(db::Database &database) {
    try {
        while (const auto planned = take()) {
            if (!wait_until(planned->at))
                break;
            if (actor_.fresh)
                database.disconnect();
            call(database, *planned);
            ++done_;
        }
    } catch (const std::exception &error) { // a journal on a full disk
        const std::lock_guard<std::mutex> lock(mutex_);
        figures_.notes.push_back(error.what());
    }
    --running_;
}

void Calls::write_down(const Planned &planned, judge::Event event, long long id) {
    if (!actor_.enqueues)
        return;
    const std::string tenant = fmt::format("tenant-{}-{}", planned.tenant, stage_.run_id);
    stage_.journal.append({{id, planned.number, stage_.journal.tenant_index(tenant), event}});
}

bool Calls::expected(const std::string &sqlstate) const {
    return std::find(actor_.expect.begin(), actor_.expect.end(), sqlstate) != actor_.expect.end();
}

void Calls::failed(const Planned &planned, const db::DatabaseError &error) {
    write_down(planned, error.connection_lost() ? judge::Event::unknown : judge::Event::failed);
    const std::lock_guard<std::mutex> lock(mutex_);
    figures_.numbers[expected(error.sqlstate()) ? "calls_refused" : "calls_failed"] += 1;
    figures_.count_error(error, expected(error.sqlstate()));
    auto &notes = figures_.notes;
    const std::string note = error.sqlstate() + " " + error.what();
    if (!expected(error.sqlstate()) && notes.size() < kKeptNotes &&
        std::find(notes.begin(), notes.end(), note) == notes.end())
        notes.push_back(note);
}

void Calls::call(db::Database &database, const Planned &planned) {
    const std::string sql =
        plan::with_values(actor_.sql, {{"schema", stage_.schema},
                                       {"run_id", stage_.run_id},
                                       {"tenant", fmt::format("tenant-{}-{}", planned.tenant, stage_.run_id)},
                                       {"key", judge::job_key(stage_.run_id, planned.number)},
                                       {"n", std::to_string(planned.n)}});
    write_down(planned, judge::Event::invoked);
    const auto began = Clock::now();
    try {
        const db::Cell id = database.scalar(sql);
        write_down(planned, judge::Event::acknowledged, actor_.enqueues && id ? std::stoll(*id) : 0);
    } catch (const db::DatabaseError &error) {
        failed(planned, error);
    }
    const auto ended = Clock::now();
    const std::lock_guard<std::mutex> lock(mutex_);
    figures_.record("call_ms", microseconds(ended - planned.at));
    figures_.record("call_service_ms", microseconds(ended - began));
    figures_.record("call_lag_ms", microseconds(began - planned.at));
    figures_.numbers["calls"] += 1;
    figures_.in_time += began <= end_ + kGrace ? 1 : 0;
}

Figures Calls::so_far() {
    const std::lock_guard<std::mutex> lock(mutex_);
    Figures figures = figures_;
    if (const double calls = figures.numbers["calls"]; calls > 0)
        figures.numbers["calls_failed_ratio"] = figures.numbers["calls_failed"] / calls;
    return figures;
}

Figures Calls::stop() {
    stopping_ = true;
    for (std::thread &thread : threads_)
        thread.join();
    figures_.planned = std::llround(planned_calls(actor_.stages));
    if (actor_.poisson) // how many come is chance
        figures_.planned = static_cast<long long>(planned_);
    for (const auto &session : sessions_)
        figures_.numbers["round_trips"] += static_cast<double>(session->round_trips());
    if (const double calls = figures_.numbers["calls"]; calls > 0)
        figures_.numbers["calls_failed_ratio"] = figures_.numbers["calls_failed"] / calls;
    return std::move(figures_);
}

} // namespace fairq::driver::actors
