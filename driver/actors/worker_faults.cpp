// worker_faults.cpp: see worker_faults.hpp.
#include "actors/worker_faults.hpp"

#include <csignal>
#include <optional>

#include <fmt/format.h>

namespace fairq::driver::actors {
namespace {

constexpr Milliseconds kNap{10};
constexpr int kNaps = 1000; ///< ten seconds for what takes a moment

/// Asks again and again; false when the answer never was yes.
bool comes(const std::function<bool()> &true_now, const Waits &wait) {
    for (int i = 0; i < kNaps; ++i) {
        if (true_now())
            return true;
        if (!wait(kNap))
            return false;
    }
    return false;
}

} // namespace

bool kill_worker(fault::WorkerPool &pool, const Waits &wait) {
    std::optional<fault::WorkerPool::Id> victim;
    return comes(
               [&] {
                   victim = pool.pick(true);
                   return victim && pool.signal(*victim, SIGKILL);
               },
               wait) &&
           comes([&] { return pool.ending(*victim).has_value(); }, wait) && pool.ending(*victim) == SIGKILL;
}

bool freeze_worker(fault::WorkerPool &pool, Milliseconds lasts, const Waits &wait) {
    std::optional<fault::WorkerPool::Id> victim;
    const bool struck = comes(
        [&] {
            victim = pool.pick(true);
            return victim && pool.signal(*victim, SIGSTOP);
        },
        wait);
    if (!struck)
        return false;
    const bool stopped = comes([&] { return pool.is_stopped(*victim); }, wait);
    pool.forget(*victim);
    wait(lasts);
    const bool still = pool.is_stopped(*victim);
    return pool.signal(*victim, SIGCONT) && stopped && still;
}

bool crash_worker(fault::WorkerPool &pool, const std::string &point, const Waits &wait) {
    std::optional<fault::WorkerPool::Id> victim;
    const bool told = comes(
        [&] {
            victim = pool.pick(false);
            return victim && pool.tell(*victim, fmt::format(R"({{"crash": "{}"}})", point));
        },
        wait);
    return told && comes([&] { return pool.ending(*victim).has_value(); }, wait) &&
           pool.ending(*victim) == SIGKILL;
}

} // namespace fairq::driver::actors
