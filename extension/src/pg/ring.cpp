// What claims do with the ring (see ring.hpp).
#include "pg/ring.hpp"

#include "pg/ring_memory.hpp"

namespace fairq::pg::ring {

namespace {

constexpr int kFiguresAtOnce = 1024; // lanes, for one hold of the lock
constexpr int kMostSurveyed = 1000;
constexpr int kSurveyedWhenNew = 200; // by each claim after a restart: 0.3 ms

void roll_minute(Lane &lane, int64 minute) {
    if (lane.minute == minute)
        return;
    bool const next = lane.minute == minute - 1;
    lane.got[1] = next ? lane.got[0] : 0;
    lane.due[1] = next ? lane.due[0] : 0;
    lane.got[0] = lane.due[0] = 0;
    lane.minute = minute;
}

// Its share of what the queue did since the last look: virtual time runs by a job for each unit of weight.
void account(int place, const core::Schedule &schedule, int64 minute, int got) {
    Lane &lane = memory->lane[place];
    roll_minute(lane, minute);
    lane.due[0] += std::max(0.0, schedule.now() - lane.due_since) * memory->scheduled[place].weight;
    lane.due_since = schedule.now();
    lane.got[0] += got;
    lane.served += got;
}

// Of its next job, in virtual time.
double deadline(int place) {
    core::ScheduledLane const &lane = memory->scheduled[place];
    return lane.start + 1.0 / std::max(lane.weight, 1);
}

// By a minute that slides: all of this one, and of the one before what is left of it.
LaneFigures figures_of(const Lane &lane, bool waiting, TimestampTz now) {
    int64 const minute = now / USECS_PER_MINUTE;
    double const left = 1.0 - static_cast<double>(now % USECS_PER_MINUTE) / USECS_PER_MINUTE;
    auto const last_minute = [&](const double(&of)[2]) {
        if (lane.minute == minute)
            return of[0] + left * of[1];
        return lane.minute == minute - 1 ? left * of[0] : 0.0;
    };
    return {std::string(lane.name()), lane.served, last_minute(lane.got), last_minute(lane.due), waiting};
}

} // namespace

Ring::Ring(Oid table) : table_(table) {
    if (memory == nullptr)
        return;
    Exclusive const lock;
    queue_ = find_or_make_queue(table);
    memory->queues[queue_].claimed_at = GetCurrentTimestamp();
    clock_ = memory->queues[queue_].clock;
    complete_ = memory->queues[queue_].complete;
}

std::vector<Share> Ring::draw(int jobs, const std::function<int(int)> &room) const {
    std::vector<Share> shares;
    Exclusive const lock;
    if (memory->queues[queue_].table != table_)
        return shares; // another queue has taken our place
    core::Schedule schedule = schedule_of(queue_);
    for (core::Part const &part : core::draw(schedule, jobs, room)) {
        Lane const &lane = memory->lane[part.lane];
        shares.push_back({std::string(lane.name()), part.lane, lane.generation, part.jobs,
                          memory->scheduled[part.lane].weight});
    }
    return shares;
}

void Ring::settle(const std::vector<Share> &shares, TimestampTz at) const {
    Exclusive const lock;
    if (memory->queues[queue_].table != table_)
        return;
    core::Schedule schedule = schedule_of(queue_);
    for (Share const &share : shares) {
        Lane const &lane = memory->lane[share.lane];
        if (lane.queue != queue_ || lane.generation != share.generation)
            continue;
        schedule.give_back(share.lane, share.jobs - share.got);
        if (share.got > 0)
            schedule.served(share.lane);
        if (schedule.contains(share.lane))
            account(share.lane, schedule, at / USECS_PER_MINUTE, share.got);
        if (share.empty && lane.touched <= clock_)
            schedule.leave(share.lane);
        else if (share.closed && schedule.contains(share.lane))
            schedule.pass_over(share.lane);
    }
}

void Ring::set_weight(const Share &share, int weight) const {
    Exclusive const lock;
    if (memory->lane[share.lane].queue == queue_ && memory->lane[share.lane].generation == share.generation)
        schedule_of(queue_).set_weight(share.lane, weight);
}

std::optional<int> lanes(Oid table) {
    if (memory == nullptr)
        return std::nullopt;
    Exclusive const lock;
    int const queue = find_queue(table);
    return queue < 0 || !memory->queues[queue].complete ? std::nullopt
                                                        : std::optional(schedule_of(queue).lanes());
}

bool may_have_jobs(Oid table, std::string_view tenant) {
    if (memory == nullptr)
        return true;
    Exclusive const lock;
    int const queue = find_queue(table);
    int const lane = queue < 0 || !memory->queues[queue].complete ? -1 : find_lane(queue, tenant);
    return queue < 0 || !memory->queues[queue].complete || (lane >= 0 && schedule_of(queue).contains(lane));
}

Ring::Survey Ring::next_survey(TimestampTz now) const {
    Exclusive const lock;
    Queue &queue = memory->queues[queue_];
    int64 const milliseconds = (now - queue.surveyed_at) / 1000;
    int const least = queue.complete || queue.overflowed ? 1 : kSurveyedWhenNew;
    queue.surveyed_at = now;
    return {std::string(queue.survey, static_cast<size_t>(queue.survey_length)),
            static_cast<int>(std::clamp<int64>(milliseconds, least, kMostSurveyed))};
}

void Ring::surveyed(const std::vector<std::string> &lanes, bool end) const {
    Exclusive const lock;
    Queue &queue = memory->queues[queue_];
    if (queue.table != table_)
        return;
    for (std::string const &tenant : lanes) {
        int const place = find_lane(queue_, tenant);
        if (place < 0 || !schedule_of(queue_).contains(place))
            enter(queue_, tenant);
    }
    if (end) {
        queue.complete = !queue.overflowed;
        queue.overflowed = false;
    }
    std::string const at = end ? std::string() : lanes.back();
    queue.survey_length = static_cast<int>(at.copy(queue.survey, sizeof queue.survey));
}

std::vector<LaneFigures> figures(Oid table) {
    std::vector<LaneFigures> all;
    TimestampTz const now = GetCurrentTimestamp();
    for (int from = 0; memory != nullptr; from += kFiguresAtOnce) {
        Exclusive const lock;
        int const queue = find_queue(table);
        if (queue < 0 || from >= memory->used)
            break;
        core::Schedule const schedule = schedule_of(queue);
        for (int place = from; place < std::min(from + kFiguresAtOnce, memory->used); ++place)
            if (memory->lane[place].queue == queue)
                all.push_back(figures_of(memory->lane[place], schedule.contains(place), now));
    }
    return all;
}

std::optional<Turn> turn_of(Oid table, std::string_view tenant) {
    if (memory == nullptr)
        return std::nullopt;
    Exclusive const lock;
    int const queue = find_queue(table);
    int const own = queue < 0 || !memory->queues[queue].complete ? -1 : find_lane(queue, tenant);
    if (own < 0)
        return std::nullopt;
    core::Schedule const schedule = schedule_of(queue);
    Turn turn{schedule.lanes(), 0};
    for (int place = 0; place < memory->used; ++place)
        if (memory->lane[place].queue == queue && place != own && schedule.contains(place) &&
            deadline(place) < deadline(own))
            ++turn.ahead;
    return turn;
}

std::optional<TimestampTz> last_claim(Oid table) {
    if (memory == nullptr)
        return std::nullopt;
    Exclusive const lock;
    int const queue = find_queue(table);
    if (queue < 0 || memory->queues[queue].claimed_at == 0)
        return std::nullopt;
    return memory->queues[queue].claimed_at;
}

} // namespace fairq::pg::ring
