// load.cpp: see load.hpp. Lateness is measured from the planned moment of the first job of a call, so that a
// slow server shows as lag and not as a lower rate.
#include "actors/load.hpp"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

namespace fairq::driver::actors {
namespace {

using Clock = std::chrono::steady_clock;

constexpr Milliseconds kSlice{20};
constexpr double kGraceSeconds = 1.0;
constexpr std::size_t kLargestCall = 5000;
constexpr Milliseconds kReconnectPatience{60'000};

double seconds_since(Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
}

} // namespace

std::vector<std::string> planned_tenants(const plan::EnqueueActor &actor, std::uint64_t seed) {
    std::mt19937_64 random(seed);
    std::vector<long long> round(static_cast<std::size_t>(actor.tenants));
    for (std::size_t i = 0; i < round.size(); ++i)
        round[i] = static_cast<long long>(i) + 1;
    std::vector<std::string> tenants;
    const auto planned = static_cast<std::size_t>(actor.planned_jobs());
    tenants.reserve(planned);
    while (tenants.size() < planned) {
        // Not std::shuffle: the same seed has to give the same order with every standard library.
        for (std::size_t i = round.size(); i > 1; --i)
            std::swap(round[i - 1], round[random() % i]);
        for (const long long tenant : round)
            if (tenants.size() < planned)
                tenants.push_back(fmt::format("tenant-{}", tenant));
    }
    return tenants;
}

LoadSender::LoadSender(const plan::EnqueueActor &actor, const Run &run)
    : actor_(actor), run_(run), tenants_(planned_tenants(actor, run.seed)), database_(run.conninfo, "load"),
      start_(Clock::now()) {
    result_.planned = actor.planned_jobs();
    thread_ = std::thread([this] { loop(); });
}

LoadSender::~LoadSender() {
    if (thread_.joinable())
        stop();
}

std::size_t LoadSender::due_jobs(double seconds) const {
    const double due = std::floor(seconds * actor_.per_second) + 1; // the first is due at once
    return std::min(tenants_.size(), static_cast<std::size_t>(due));
}

void LoadSender::loop() {
    std::size_t next = 0;
    try {
        while (!stopping_ && next < tenants_.size()) {
            const std::size_t due = std::min(due_jobs(seconds_since(start_)), next + kLargestCall);
            if (due > next) {
                send(next, due);
                next = due;
            }
            std::this_thread::sleep_for(kSlice);
        }
    } catch (const db::DatabaseError &error) {
        result_.error = error.what();
    }
    finished_ = true;
}

void LoadSender::send(std::size_t first, std::size_t last) {
    const std::vector<std::string> tenants(tenants_.begin() + static_cast<std::ptrdiff_t>(first),
                                           tenants_.begin() + static_cast<std::ptrdiff_t>(last));
    std::vector<std::string> payloads;
    std::vector<std::string> keys;
    for (std::size_t i = first; i < last; ++i) {
        payloads.push_back(fmt::format("{{\"n\": {}, \"work_ms\": {}}}", i + 1, actor_.work_ms));
        keys.push_back(fmt::format("{}-{}", run_.key_prefix, i + 1));
    }
    result_.lag_ms.push_back((seconds_since(start_) - static_cast<double>(first) / actor_.per_second) * 1000);
    std::vector<long long> ids;
    const auto sent_at = Clock::now();
    try {
        db::QueueClient client(database_, run_.schema);
        db::with_reconnect(
            kReconnectPatience, [&] { return stopping_.load(); },
            [&] { ids = client.enqueue(tenants, payloads, keys); });
    } catch (const db::DatabaseError &error) {
        if (error.connection_lost()) // else the server said no: there is nothing to look for
            result_.unknown_keys.insert(result_.unknown_keys.end(), keys.begin(), keys.end());
        throw;
    }
    result_.call_ms.push_back(seconds_since(sent_at) * 1000);
    for (std::size_t i = 0; i < ids.size(); ++i)
        result_.accepted.push_back({ids[i], i < tenants.size() ? tenants[i] : ""});
    sent_ += static_cast<long long>(ids.size());
    if (seconds_since(start_) <= std::chrono::duration<double>(actor_.duration).count() + kGraceSeconds)
        result_.sent_in_time += static_cast<long long>(ids.size());
}

LoadResult LoadSender::stop() {
    stopping_ = true;
    thread_.join();
    result_.reconnects = database_.reconnects();
    return std::move(result_);
}

} // namespace fairq::driver::actors
