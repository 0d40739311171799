// When the caller of a tick goes on although handlers of the tick still run.
#pragma once

#include <algorithm>
#include <cstdint>

namespace fairq::core {

enum class TickStep {
    go_on,
    take_back, // at the deadline: the jobs that no worker has begun
    leave,     // the caller goes on, and what runs ends by itself
};

// A tick ends when all its handlers have ended. It does not wait for the last of them while a worker has nothing to do:
// the caller's next tick has jobs for that worker. Nor does it wait long behind its deadline.
class TickEnd {
public:
    // By a clock that goes on evenly, in microseconds, as are all times here. patience: how long the caller waits for
    // handlers that still run.
    constexpr TickEnd(std::int64_t deadline, std::int64_t patience)
        : deadline_(deadline), patience_(patience) {}

    // jobs_wait: the tick has jobs that no worker has begun. worker_is_free: a worker has ended, as there were no more.
    constexpr TickStep next(std::int64_t now, bool jobs_wait, bool worker_is_free) {
        bool const late = now >= deadline_;
        if (jobs_wait)
            return late ? TickStep::take_back : TickStep::go_on;
        if (!late && !worker_is_free)
            return TickStep::go_on;
        leave_at_ = std::min(leave_at_, now + patience_);
        return now >= leave_at_ ? TickStep::leave : TickStep::go_on;
    }

    // When next() may have another answer, if neither jobs nor workers change.
    constexpr std::int64_t asks_again_at() const { return leave_at_ == kNever ? deadline_ : leave_at_; }

private:
    static constexpr std::int64_t kNever = INT64_MAX;
    std::int64_t deadline_, patience_, leave_at_ = kNever;
};

} // namespace fairq::core
