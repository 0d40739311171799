// What claims do with the ring (see ring.hpp).
#include "shared/ring/ring.hpp"

#include "pg/transaction_end.hpp"
#include "shared/ring/memory.hpp"

namespace fairq::shared::ring {

namespace {

// What this session has drawn and not settled. It may be less than that (after a savepoint's rollback, or in
// a claim within a claim): others then look at jobs that they will not get.
struct Drawn {
    int lane;
    std::uint32_t generation;
    int jobs;
};
std::vector<Drawn> *drawn = nullptr; // made on first use and never destroyed

void draw_from(Share &share) {
    Lane &lane = memory->lane[share.lane];
    drawn->push_back({share.lane, share.generation, share.jobs});
    share.ahead = lane.drawn;
    lane.drawn += share.jobs;
}

// Needs the lock.
void return_drawn() {
    for (Drawn const &of : *drawn)
        if (Lane &lane = memory->lane[of.lane]; lane.generation == of.generation)
            lane.drawn -= of.jobs;
    drawn->clear();
}

void at_end(pg::Ending ending) {
    if (ending != pg::Ending::abort && ending != pg::Ending::savepoint_abort)
        return;
    leave();
    if (drawn == nullptr || drawn->empty())
        return;
    Exclusive const lock;
    return_drawn();
}

// Whether the place is still the lane's that drew.
bool is_lane_of(const Share &share, int queue) {
    Lane const &lane = memory->lane[share.lane];
    return lane.queue == queue && lane.generation == share.generation;
}

// A tenant is quiet that gets less than its share, or has all its jobs taken at its first turn, unless a
// limit of its own keeps it so.
bool is_quiet(const Share &share, bool first_turn, TimestampTz at) {
    return at - memory->lane[share.lane].limited_at >= USECS_PER_MINUTE &&
           ((share.empty && first_turn) || below_share(share.lane, at));
}

// For the figures: what the lane did, and how long its jobs have waited if it is quiet.
void note(Queue &queue, const Share &share, TimestampTz at) {
    if (share.limited)
        memory->lane[share.lane].limited_at = at;
    bool const first_turn = at_first_turn(share.lane);
    account(share.lane, share.got);
    if (share.got > 0 && is_quiet(share, first_turn, at))
        for (TimestampTz const since : share.since)
            ++queue.dwell[0][core::wait_bucket(at - since)];
}

} // namespace

void install_draw_callbacks() {
    pg::hear_of_endings<at_end>();
}

Ring::Ring(Oid table) : table_(table) {
    if (memory == nullptr)
        return;
    enter_queue(table);
    TimestampTz const now = GetCurrentTimestamp();
    Exclusive const lock;
    queue_ = find_or_make_queue(table);
    memory->queues[queue_].claimed_at = now;
    begin_minute(queue_, now);
    clock_ = memory->queues[queue_].clock;
    openings_ = memory->openings;
    complete_ = memory->queues[queue_].complete;
}

std::vector<Share> Ring::draw(int jobs, const std::function<int(int)> &room, TimestampTz at) const {
    bool const knows_caps = !has_news(); // others note what they see without our own changes
    std::vector<Share> shares;
    if (drawn == nullptr)
        drawn = new std::vector<Drawn>;
    Exclusive const lock;
    if (memory->queues[queue_].table != table_)
        return shares; // another queue has taken our place
    core::Schedule schedule = schedule_of(queue_);
    std::vector<core::Part> const parts = core::draw(schedule, jobs, room);
    shares.reserve(parts.size());
    for (core::Part const &part : parts) {
        Lane const &lane = memory->lane[part.lane];
        shares.push_back({std::string(lane.name()), part.lane, lane.generation, part.jobs,
                          memory->scheduled[part.lane].weight});
        shares.back().gaps = lane.gaps;
        shares.back().mark = lane.mark;
        shares.back().known_cap = knows_caps ? ring::known_cap(part.lane, at) : 0;
        draw_from(shares.back());
    }
    return shares;
}

// The clock has gone back by all that was not given before anybody's share is told by it.
void Ring::settle(const std::vector<Share> &shares, TimestampTz at) const {
    Exclusive const lock;
    return_drawn();
    if (memory->queues[queue_].table != table_)
        return;
    core::Schedule schedule = schedule_of(queue_);
    for (Share const &share : shares)
        if (is_lane_of(share, queue_))
            schedule.give_back(share.lane, share.jobs - share.got);
    for (Share const &share : shares)
        if (is_lane_of(share, queue_))
            note(memory->queues[queue_], share, at);
    for (Share const &share : shares) {
        if (!is_lane_of(share, queue_))
            continue;
        make_gaps(share.lane, share.passed, clock_);
        memory->lane[share.lane].mark = share.mark;
        if (share.found_cap > 0)
            memory->lane[share.lane].at_cap = {share.found_cap, openings_, at};
        if (share.got > 0)
            schedule.served(share.lane);
        if (share.empty && memory->lane[share.lane].touched <= clock_)
            schedule.leave(share.lane);
        else if (share.closed && schedule.contains(share.lane))
            schedule.pass_over(share.lane);
    }
}

void Ring::set_weight(const Share &share, int weight) const {
    Exclusive const lock;
    if (is_lane_of(share, queue_))
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

} // namespace fairq::shared::ring
