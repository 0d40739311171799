// worker_pool.hpp: the worker processes of a phase, for faults that strike them: who lives, who holds jobs, who ended how.
// Safe from several threads.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <random>
#include <string>

#include <sys/types.h>

namespace fairq::driver::fault {

class WorkerPool {
public:
    using Id = std::uint64_t;

    struct Member {
        pid_t pid = 0;
        std::function<void(const std::string &)> tell; ///< sends it a line
        std::function<void()> forget; ///< what it holds does not count any more: others may run it
    };

    explicit WorkerPool(std::uint64_t seed) : random_(seed) {}

    Id add(const Member &member);
    void holds(Id id, int jobs);

    /// Before its pid is given back: no signal meets another process.
    void ended(Id id, int signal);

    /// One that lives and holds jobs, or only lives.
    std::optional<Id> pick(bool holding);

    /// False when it is gone.
    bool signal(Id id, int number);
    bool tell(Id id, const std::string &line);
    void forget(Id id);

    /// Does the kernel say that it is stopped?
    bool is_stopped(Id id);

    /// The signal that ended it, 0 for none; nothing while it lives.
    std::optional<int> ending(Id id);

private:
    struct Kept {
        Member member;
        int jobs = 0;
        std::optional<int> ending;
    };
    Kept *living(Id id);

    std::mutex mutex_; // of all that follows
    std::map<Id, Kept> members_;
    Id last_ = 0;
    std::mt19937_64 random_;
};

} // namespace fairq::driver::fault
