// interrupt.cpp: the handler does one thing that is safe in a handler: it sets a flag. Later
// signals change nothing, so that an impatient second Ctrl-C cannot leave a server behind;
// cleaning up has its own time limits.
#include "interrupt.hpp"

#include <atomic>
#include <csignal>
#include <mutex>
#include <set>
#include <thread>
#include <utility>

namespace fairq::driver {
namespace {

std::atomic<bool> g_interrupted{false};
static_assert(std::atomic<bool>::is_always_lock_free, "a signal handler may only touch lock-free atomics");

constexpr Milliseconds kNap{50};
constexpr Milliseconds kStopAgain{200};

/// What has to be stopped, and the thread that does it. Never destroyed: the thread may outlive main.
struct Stoppers {
    std::mutex mutex; // of all that follows; held while they are called
    std::set<const std::function<void()> *> stops;
    bool running = false;

    void run() {
        while (true) {
            std::this_thread::sleep_for(interrupted() ? kStopAgain : kNap);
            if (!interrupted())
                continue;
            const std::lock_guard<std::mutex> lock(mutex);
            for (const auto *stop : stops)
                (*stop)();
        }
    }

    void add(const std::function<void()> *stop) {
        const std::lock_guard<std::mutex> lock(mutex);
        stops.insert(stop);
        if (!std::exchange(running, true))
            std::thread([this] { run(); }).detach();
    }

    void remove(const std::function<void()> *stop) {
        const std::lock_guard<std::mutex> lock(mutex);
        stops.erase(stop);
    }
};

Stoppers &stoppers() {
    static auto *const all = new Stoppers;
    return *all;
}

} // namespace

StopWhenInterrupted::StopWhenInterrupted(std::function<void()> stop) : stop_(std::move(stop)) {
    stoppers().add(&stop_);
}

StopWhenInterrupted::~StopWhenInterrupted() {
    stoppers().remove(&stop_);
}

extern "C" {
static void on_signal(int) {
    g_interrupted = true;
}
}

void install_signal_handlers() {
    struct sigaction action {};
    action.sa_handler = on_signal;
    sigemptyset(&action.sa_mask);
    action.sa_flags = SA_RESTART;
    for (const int number : {SIGINT, SIGTERM, SIGHUP})
        sigaction(number, &action, nullptr);
    std::signal(SIGPIPE, SIG_IGN); // a reader of our output that goes away must not take the clean-up with it
}

bool interrupted() {
    return g_interrupted;
}

void set_interrupted(bool value) {
    g_interrupted = value;
}

bool pause_for(Milliseconds duration) {
    const auto end = std::chrono::steady_clock::now() + duration;
    while (!interrupted()) {
        const auto left = std::chrono::duration_cast<Milliseconds>(end - std::chrono::steady_clock::now());
        if (left.count() <= 0)
            return true;
        std::this_thread::sleep_for(std::min(left, kNap));
    }
    return false;
}

} // namespace fairq::driver
