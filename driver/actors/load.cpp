// load.cpp: see load.hpp. Lateness is measured from the planned moment of the first job of a call, so that a
// slow server shows as lag and not as a lower rate.
#include "actors/load.hpp"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "errors.hpp"

namespace fairq::driver::actors {
namespace {

using Clock = std::chrono::steady_clock;

constexpr Milliseconds kSlice{20};
constexpr double kGraceSeconds = 1.0;
constexpr long long kLargestCall = 5000;
constexpr Milliseconds kReconnectPatience{60'000};

double seconds_since(Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
}

std::int64_t microseconds(double seconds) {
    return static_cast<std::int64_t>(seconds * 1'000'000);
}

} // namespace

LoadSender::LoadSender(const plan::EnqueueActor &actor, const Stage &stage)
    : actor_(actor), stage_(stage), sender_(++stage.senders),
      tenants_(plan::Spread::even, actor.tenants, stage.seed + sender_ - 1),
      database_(stage.conninfo, "load " + stage.run_id), start_(Clock::now()) {
    figures_.actor = actor.name;
    figures_.planned = actor.planned_jobs();
    thread_ = std::thread([this] { loop(); });
}

LoadSender::~LoadSender() {
    stopping_ = true;
    if (thread_.joinable())
        thread_.join();
}

long long LoadSender::due_jobs(double seconds) const {
    const double due = std::floor(seconds * actor_.per_second) + 1; // the first is due at once
    return std::min(figures_.planned, static_cast<long long>(due));
}

void LoadSender::loop() {
    try {
        while (!stopping_ && planned_ < figures_.planned) {
            const long long due = std::min(due_jobs(seconds_since(start_)), planned_ + kLargestCall);
            if (due > planned_)
                send(make_batch(due));
            std::this_thread::sleep_for(kSlice);
        }
    } catch (const std::exception &error) { // the server's, or a journal on a full disk
        const std::lock_guard<std::mutex> lock(mutex_);
        figures_.notes.push_back(fmt::format("the sender gave up: {}", error.what()));
    }
    finished_ = true;
}

LoadSender::Batch LoadSender::make_batch(long long last) {
    Batch batch;
    while (planned_ < last) {
        const auto n = static_cast<std::uint64_t>(++planned_);
        const std::uint64_t number = judge::job_number(sender_, n);
        const std::string tenant = fmt::format("tenant-{}-{}", tenants_.next(), stage_.run_id);
        batch.entries.push_back({0, number, stage_.journal.tenant_index(tenant), judge::Event::invoked});
        batch.tenants.push_back(tenant);
        batch.payloads.push_back(
            fmt::format(R"({{"run": "{}", "n": {}, "work_ms": {}}})", stage_.run_id, n, actor_.work_ms));
        batch.keys.push_back(judge::job_key(stage_.run_id, number));
    }
    return batch;
}

void LoadSender::write_down(Batch &batch, judge::Event event) {
    for (judge::JournalEntry &entry : batch.entries)
        entry.event = event;
    stage_.journal.append(batch.entries);
}

void LoadSender::call(Batch &batch) {
    std::vector<long long> ids;
    try {
        db::QueueClient client(database_, stage_.schema);
        db::with_reconnect(
            kReconnectPatience, [&] { return stopping_.load(); },
            [&] { ids = client.enqueue(batch.tenants, batch.payloads, batch.keys); });
    } catch (const db::DatabaseError &error) {
        write_down(batch, error.connection_lost() ? judge::Event::unknown : judge::Event::failed);
        const std::lock_guard<std::mutex> lock(mutex_);
        figures_.count_error(error);
        throw;
    }
    if (ids.size() != batch.entries.size()) {
        write_down(batch, judge::Event::unknown);
        throw db::DatabaseError(
            fmt::format("enqueue_jobs() gave {} ids for {} jobs", ids.size(), batch.entries.size()), "",
            false);
    }
    for (std::size_t i = 0; i < ids.size(); ++i)
        batch.entries[i].id = ids[i];
    write_down(batch, judge::Event::acknowledged);
}

void LoadSender::send(Batch batch) {
    const auto jobs = static_cast<long long>(batch.entries.size());
    const double planned_at = static_cast<double>(planned_ - jobs) / actor_.per_second;
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        figures_.record("schedule_lag_ms", microseconds(seconds_since(start_) - planned_at));
    }
    write_down(batch, judge::Event::invoked);
    const auto sent_at = Clock::now();
    call(batch);
    const std::lock_guard<std::mutex> lock(mutex_);
    figures_.record("enqueue_call_ms", microseconds(seconds_since(sent_at)));
    sent_ += jobs;
    if (seconds_since(start_) <= std::chrono::duration<double>(actor_.duration).count() + kGraceSeconds)
        figures_.in_time += jobs;
}

Figures LoadSender::so_far() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return figures_;
}

Figures LoadSender::stop() {
    stopping_ = true;
    thread_.join();
    figures_.numbers["round_trips"] = static_cast<double>(database_.round_trips());
    return std::move(figures_);
}

} // namespace fairq::driver::actors
