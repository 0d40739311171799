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

} // namespace

TenantRounds::TenantRounds(long long tenants, std::uint64_t seed)
    : random_(seed), round_(static_cast<std::size_t>(tenants)), place_(round_.size()) {
    for (std::size_t i = 0; i < round_.size(); ++i)
        round_[i] = static_cast<long long>(i) + 1;
}

long long TenantRounds::next() {
    if (place_ == round_.size()) {
        // Not std::shuffle: the same seed has to give the same order with every standard library.
        for (std::size_t i = round_.size(); i > 1; --i)
            std::swap(round_[i - 1], round_[random_() % i]);
        place_ = 0;
    }
    return round_[place_++];
}

LoadSender::LoadSender(const plan::EnqueueActor &actor, const Run &run)
    : actor_(actor), run_(run), tenants_(actor.tenants, run.seed),
      database_(run.conninfo, "load " + run.run_id), start_(Clock::now()) {
    result_.planned = actor.planned_jobs();
    thread_ = std::thread([this] { loop(); });
}

LoadSender::~LoadSender() {
    if (thread_.joinable())
        stop();
}

long long LoadSender::due_jobs(double seconds) const {
    const double due = std::floor(seconds * actor_.per_second) + 1; // the first is due at once
    return std::min(result_.planned, static_cast<long long>(due));
}

void LoadSender::loop() {
    try {
        while (!stopping_ && planned_ < result_.planned) {
            const long long due = std::min(due_jobs(seconds_since(start_)), planned_ + kLargestCall);
            if (due > planned_)
                send(make_batch(due));
            std::this_thread::sleep_for(kSlice);
        }
    } catch (const std::exception &error) { // the server's, or a journal on a full disk
        result_.error = error.what();
    }
    finished_ = true;
}

LoadSender::Batch LoadSender::make_batch(long long last) {
    Batch batch;
    while (planned_ < last) {
        const auto n = static_cast<std::uint64_t>(++planned_);
        const std::uint64_t number = judge::job_number(run_.sender, n);
        const std::string tenant = fmt::format("tenant-{}-{}", tenants_.next(), run_.run_id);
        batch.entries.push_back({0, number, run_.journal.tenant_index(tenant), judge::Event::invoked});
        batch.tenants.push_back(tenant);
        batch.payloads.push_back(
            fmt::format(R"({{"run": "{}", "n": {}, "work_ms": {}}})", run_.run_id, n, actor_.work_ms));
        batch.keys.push_back(judge::job_key(run_.run_id, number));
    }
    return batch;
}

void LoadSender::write_down(Batch &batch, judge::Event event) {
    for (judge::JournalEntry &entry : batch.entries)
        entry.event = event;
    run_.journal.append(batch.entries);
}

void LoadSender::call(Batch &batch) {
    std::vector<long long> ids;
    try {
        db::QueueClient client(database_, run_.schema);
        db::with_reconnect(
            kReconnectPatience, [&] { return stopping_.load(); },
            [&] { ids = client.enqueue(batch.tenants, batch.payloads, batch.keys); });
    } catch (const db::DatabaseError &error) {
        write_down(batch, error.connection_lost() ? judge::Event::unknown : judge::Event::failed);
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
    result_.lag_ms.push_back((seconds_since(start_) - planned_at) * 1000);
    write_down(batch, judge::Event::invoked);
    const auto sent_at = Clock::now();
    call(batch);
    result_.call_ms.push_back(seconds_since(sent_at) * 1000);
    sent_ += jobs;
    if (seconds_since(start_) <= std::chrono::duration<double>(actor_.duration).count() + kGraceSeconds)
        result_.sent_in_time += jobs;
}

LoadResult LoadSender::stop() {
    stopping_ = true;
    thread_.join();
    result_.reconnects = database_.reconnects();
    return std::move(result_);
}

} // namespace fairq::driver::actors
