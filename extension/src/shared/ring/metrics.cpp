// What the lanes of the ring did, and how many are served before a given one: for metrics (see ring.hpp).
#include "core/schedule_position.hpp"
#include "shared/ring/memory.hpp"
#include "shared/ring/ring.hpp"

namespace fairq::shared::ring {

namespace {

constexpr int kFiguresAtOnce = 1024; // lanes, while the lock is held once
constexpr double kBelow = 0.9;       // a lane is below its share when it gets less than this fraction of it

struct Minutes {
    double jobs[2]; // in this minute, and in the one before
};

Minutes minutes_of(const Lane &lane, const double (&of)[2], int64 minute) {
    if (lane.minute == minute)
        return {{of[0], of[1]}};
    return {{0, lane.minute == minute - 1 ? of[0] : 0}};
}

void roll_minute(Lane &lane, int64 minute) {
    Minutes const got = minutes_of(lane, lane.got, minute), due = minutes_of(lane, lane.due, minute);
    for (int i = 0; i < 2; ++i) {
        lane.got[i] = got.jobs[i];
        lane.due[i] = due.jobs[i];
    }
    lane.minute = minute;
}

// The lane's share since the last account(): one job for each unit of its weight and of virtual time. A lane
// that was passed over, or is held, has none, since it could not have been served.
Minutes due_since(int place, const Queue &queue) {
    core::ScheduledLane const &scheduled = memory->scheduled[place];
    if (scheduled.passed_over > 0 || memory->held[place].held)
        return {};
    double const since = memory->lane[place].due_since, now = queue.schedule.now;
    auto const share = [&](double from, double to) {
        return std::max(0.0, to - std::max(from, since)) * scheduled.weight;
    };
    return {{share(queue.began[0], now), share(queue.began[1], std::min(now, queue.began[0]))}};
}

// Which fraction of the minute before is within the last 60 seconds.
double fraction_left(TimestampTz now) {
    return 1.0 - static_cast<double>(now % USECS_PER_MINUTE) / USECS_PER_MINUTE;
}

double last_minute(const Minutes &of, double left) {
    return of.jobs[0] + left * of.jobs[1];
}

LaneFigures figures_of(int place, bool waiting, const Queue &queue, double left) {
    Lane const &lane = memory->lane[place];
    Minutes due = minutes_of(lane, lane.due, queue.minute);
    if (waiting) {
        Minutes const more = due_since(place, queue);
        due.jobs[0] += more.jobs[0];
        due.jobs[1] += more.jobs[1];
    }
    Counting const *const counting = find_counting(queue.database, queue.table);
    return {std::string(queue.queue_name()),
            std::string(lane.name()),
            lane.served,
            last_minute(minutes_of(lane, lane.got, queue.minute), left),
            last_minute(due, left),
            std::max(memory->scheduled[place].weight, 1),
            counting != nullptr && lane.count_generation == counting->generation ? lane.queued : 0,
            waiting};
}

} // namespace

void begin_minute(int queue, TimestampTz now) {
    Queue &of = memory->queues[queue];
    int64 const minute = now / USECS_PER_MINUTE;
    if (minute == of.minute || minute == of.minute - 1) // the latter after a long wait for the lock
        return;
    bool const next = of.minute == minute - 1;
    of.began[1] = next ? of.began[0] : of.schedule.now;
    of.began[0] = of.schedule.now;
    if (next)
        memcpy(of.dwell[1], of.dwell[0], sizeof of.dwell[0]);
    else
        memset(of.dwell[1], 0, sizeof of.dwell[1]);
    memset(of.dwell[0], 0, sizeof of.dwell[0]);
    of.minute = minute;
}

void account(int place, int got) {
    Lane &lane = memory->lane[place];
    Queue const &queue = memory->queues[lane.queue];
    roll_minute(lane, queue.minute);
    lane.got[0] += got;
    lane.served += got;
    if (!schedule_of(lane.queue).contains(place))
        return;
    Minutes const due = due_since(place, queue);
    lane.due[0] += due.jobs[0];
    lane.due[1] += due.jobs[1];
    lane.due_since = std::max(lane.due_since, queue.schedule.now); // the clock can go back
}

bool is_unserved(int place) {
    return memory->lane[place].served == memory->lane[place].served_before;
}

// The lane got over a job less than kBelow of what a lane of its weight would have got that always had work.
bool below_share(int place, TimestampTz now) {
    Lane const &lane = memory->lane[place];
    Queue const &queue = memory->queues[lane.queue];
    double const left = fraction_left(now);
    Minutes const whole{{queue.schedule.now - queue.began[0], queue.began[0] - queue.began[1]}};
    return last_minute({{lane.got[0], lane.got[1]}}, left) + 1 <
           kBelow * memory->scheduled[place].weight * last_minute(whole, left);
}

bool available() {
    return memory != nullptr;
}

bool queued_counts_known(Oid table) {
    if (memory == nullptr)
        return false;
    Exclusive const lock;
    Counting const *const counting = find_counting(MyDatabaseId, table);
    return counting != nullptr && counting->generation != 0 && counting->ended;
}

namespace {

// What is known of all queues with this table; the lanes follow.
void begin_figures(Oid table, TimestampTz now, double left, Figures &all) {
    Exclusive const lock;
    for_queues_of(table, [&](int queue) {
        begin_minute(queue, now);
        Queue const &of = memory->queues[queue];
        for (int bucket = 0; bucket < core::kWaitBuckets; ++bucket)
            all.dwell[bucket] += of.dwell[0][bucket] + left * of.dwell[1][bucket];
    });
    if (Counting const *const counting = find_counting(MyDatabaseId, table)) {
        all.queued_counts_known = counting->generation != 0 && counting->ended;
        all.queued_counts_whole = counting->whole;
    }
}

} // namespace

Figures figures(Oid table) {
    Figures all;
    TimestampTz const now = GetCurrentTimestamp();
    double const left = fraction_left(now);
    if (memory == nullptr)
        return all;
    begin_figures(table, now, left, all);
    for (int from = 0;; from += kFiguresAtOnce) {
        Exclusive const lock;
        if (from >= memory->used)
            break;
        for (int place = from; place < std::min(from + kFiguresAtOnce, memory->used); ++place) {
            int const queue = memory->lane[place].queue;
            if (queue >= 0 && is_of(memory->queues[queue], table))
                all.lanes.push_back(
                    figures_of(place, schedule_of(queue).contains(place) && !memory->held[place].held,
                               memory->queues[queue], left));
        }
    }
    return all;
}

std::optional<SchedulePosition> schedule_position(Oid table, core::LaneName lane) {
    std::vector<core::ScheduledLane> lanes; // a copy, so that this session counts without the lock
    core::ScheduleState state;
    int own = -1, held = 0;
    if (memory == nullptr)
        return std::nullopt;
    {
        Exclusive const lock;
        int const queue = find_queue(table, lane.queue);
        own = queue < 0 || !memory->queues[queue].complete ? -1 : find_lane(queue, lane.tenant);
        if (own < 0 || !schedule_of(queue).contains(own) || memory->held[own].held)
            return std::nullopt;
        lanes.assign(memory->scheduled, memory->scheduled + memory->used);
        state = memory->queues[queue].schedule;
        held = memory->queues[queue].holds.lanes;
    }
    int const all = state.lanes - held;
    return SchedulePosition{all, core::lanes_before(own, std::move(lanes), state)};
}

std::optional<TimestampTz> last_claim(Oid table, std::string_view name) {
    if (memory == nullptr)
        return std::nullopt;
    Exclusive const lock;
    int const queue = find_queue(table, name);
    if (queue < 0 || memory->queues[queue].claimed_at == 0)
        return std::nullopt;
    return memory->queues[queue].claimed_at;
}

} // namespace fairq::shared::ring
