// workers.cpp: see workers.hpp. A tick that fails does not end its worker: the error is kept for the report,
// and the next tick is tried, as pg_cron does.
#include "actors/workers.hpp"

#include <algorithm>
#include <cstdio>

#include <fmt/format.h>

namespace fairq::driver::actors {
namespace {

constexpr std::size_t kKeptErrors = 5;
constexpr Milliseconds kNap{20};
constexpr Milliseconds kPauseAfterError{200};
// In naps: a tick may end by itself first, then it is told to, again and again.
constexpr int kGraceNaps = 25;
constexpr int kCancelNaps = 10;

} // namespace

TickWorker::TickWorker(db::Database &control, const std::string &schema, const std::string &run_id,
                       const plan::WorkerActor &worker)
    : database_(control.conninfo(), "tick " + run_id),
      call_(fmt::format("SELECT {}.run_job_queue_parallel({})", schema, worker.workers)),
      every_(worker.every), thread_([this] { loop(); }) {}

TickWorker::~TickWorker() {
    stopping_ = true;
    if (thread_.joinable())
        thread_.join();
}

void TickWorker::loop() {
    auto next = std::chrono::steady_clock::now();
    while (!stopping_) {
        tick();
        // A tick that took longer than its interval is followed by the next at once, not by a burst.
        next = std::max(next + every_, std::chrono::steady_clock::now());
        pause_until(next);
    }
    finished_ = true;
}

void TickWorker::tick() {
    try {
        database_.query(call_);
    } catch (const db::DatabaseError &error) {
        {
            const std::lock_guard<std::mutex> lock(mutex_);
            if (errors_.empty() || errors_.front() != error.what())
                errors_.insert(errors_.begin(), error.what());
            errors_.resize(std::min(errors_.size(), kKeptErrors));
        }
        pause_until(std::chrono::steady_clock::now() + kPauseAfterError);
    }
}

void TickWorker::pause_until(std::chrono::steady_clock::time_point when) const {
    while (!stopping_ && std::chrono::steady_clock::now() < when)
        std::this_thread::sleep_for(
            std::min<std::chrono::nanoseconds>(kNap, when - std::chrono::steady_clock::now()));
}

void TickWorker::stop(db::Database &control) {
    stopping_ = true;
    for (int naps = 1; !finished_; ++naps) {
        std::this_thread::sleep_for(kNap);
        const int pid = database_.backend_pid();
        if (naps < kGraceNaps || naps % kCancelNaps != 0 || pid == 0)
            continue;
        try {
            control.query("SELECT pg_cancel_backend($1::integer)", {std::to_string(pid)});
        } catch (const db::DatabaseError &) { // the server is away, and so is the tick
        }
    }
    thread_.join();
}

std::vector<std::string> TickWorker::errors() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return errors_;
}

void WorkerSet::start(const std::vector<plan::WorkerActor> &workers) {
    for (const plan::WorkerActor &worker : workers)
        if (worker.kind == plan::WorkerKind::tick)
            ticks_.push_back(std::make_unique<TickWorker>(control_, schema_, run_id_, worker));
        else if (!cron_.scheduled(worker.job))
            cron_.schedule(worker);
}

void WorkerSet::stop(const std::vector<plan::WorkerActor> &workers) {
    stop_ticks();
    for (const plan::WorkerActor &worker : workers)
        if (worker.kind == plan::WorkerKind::cron && !worker.keep)
            cron_.remove(worker.job);
}

void WorkerSet::stop_ticks() noexcept {
    for (const auto &tick : ticks_)
        tick->stop(control_);
    ticks_.clear();
}

void WorkerSet::stop_all() noexcept {
    stop_ticks();
    cron_.remove_all();
}

std::vector<std::string> WorkerSet::errors() {
    std::vector<std::string> errors;
    for (const auto &tick : ticks_)
        for (const std::string &error : tick->errors())
            errors.push_back(error);
    if (!cron_.version().empty())
        for (const std::string &error : cron_.failures())
            errors.push_back(error);
    return errors;
}

} // namespace fairq::driver::actors
