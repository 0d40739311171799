// How claims draw from the ring and settle what they drew (see ring.hpp).
#include "shared/ring/ring.hpp"

#include "pg/transaction_end.hpp"
#include "shared/ring/memory.hpp"

namespace fairq::shared::ring {

namespace {

constexpr int kEndedByDraw =
    64; // holds, so that no draw has the lock for long; the next draw ends the next ones

// What this session has drawn and not settled. It may list too little (after the rollback of a savepoint, or
// in a claim within a claim): claims of other sessions then look at jobs that they will not get.
struct Drawn {
    int lane;
    std::uint32_t generation;
    int jobs;
};
std::vector<Drawn> *drawn = nullptr; // made on first use and never destroyed

void draw_from(Grant &grant) {
    Lane &lane = memory->lane[grant.lane];
    drawn->push_back({grant.lane, grant.generation, grant.jobs});
    grant.ahead = lane.drawn;
    lane.drawn += grant.jobs;
}

// Needs the lock.
void return_drawn() {
    for (Drawn const &of : *drawn)
        if (Lane &lane = memory->lane[of.lane]; lane.generation == of.generation)
            lane.drawn -= of.jobs;
    drawn->clear();
}

void at_end(pg::TransactionEvent event) {
    if (event != pg::TransactionEvent::abort && event != pg::TransactionEvent::savepoint_abort)
        return;
    release_claim_slot();
    if (drawn == nullptr || drawn->empty())
        return;
    Exclusive const lock;
    return_drawn();
}

// Whether the place still holds the lane of this grant.
bool is_lane_of(const Grant &grant, int queue) {
    Lane const &lane = memory->lane[grant.lane];
    return lane.queue == queue && lane.generation == grant.generation;
}

// A tenant is quiet if it gets less than its share, or if all its jobs were taken when it was first served,
// unless that is due to a limit of its own.
bool is_quiet(const Grant &grant, bool unserved, TimestampTz at) {
    return at - memory->lane[grant.lane].limited_at >= USECS_PER_MINUTE &&
           ((grant.result.empty && unserved) || below_share(grant.lane, at));
}

// Records for metrics what the lane did, and, if the tenant is quiet, how long its jobs have waited.
void record(Queue &queue, const Grant &grant, TimestampTz at) {
    if (grant.result.limited)
        memory->lane[grant.lane].limited_at = at;
    bool const unserved = is_unserved(grant.lane);
    account(grant.lane, grant.result.got);
    if (grant.result.got > 0 && is_quiet(grant, unserved, at))
        for (TimestampTz const since : grant.result.since)
            ++queue.dwell[0][core::wait_bucket(at - since)];
}

} // namespace

void install_draw_callbacks() {
    pg::on_transaction_end<at_end>();
}

Ring::Ring(Oid table, std::string_view name) : table_(table), name_(name) {
    if (memory == nullptr)
        return;
    acquire_claim_slot(table, name);
    if (begin(GetCurrentTimestamp()))
        end_older_holds(table);
}

// Notes where the queue is and what it knows. True: the clock went back, so that times that end holds may be wrong.
bool Ring::begin(TimestampTz now) {
    Exclusive const lock;
    queue_ = find_or_make_queue(table_, name_);
    if (queue_ < 0)
        return false;
    Queue &queue = memory->queues[queue_];
    queue.claimed_at = now;
    begin_minute(queue_, now);
    bool const went_back = holds_of(queue_).clock_went_back(now);
    life_ = queue.life;
    clock_ = queue.clock;
    events_ = queue.holds.events;
    complete_ = queue.complete;
    return went_back;
}

// The place of this ring's queue, or -1 when another queue has got it. Tables of two databases may have the same oid.
int Ring::own_queue() const {
    return queue_ >= 0 && memory->queues[queue_].life == life_ ? queue_ : -1;
}

bool Ring::is_lost() const {
    if (!available())
        return false;
    Exclusive const lock;
    return own_queue() < 0;
}

std::vector<Grant> Ring::draw(int jobs, const std::function<int(int)> &room, TimestampTz at) const {
    std::vector<Grant> grants;
    if (drawn == nullptr)
        drawn = new std::vector<Drawn>;
    Exclusive const lock;
    if (own_queue() < 0)
        return grants;
    core::Holds holds = holds_of(queue_);
    for (int i = 0, lane = 0; i < std::max(jobs, kEndedByDraw) && (lane = holds.end_due(at)) >= 0; ++i)
        hold_ended(lane);
    core::Schedule schedule = schedule_of(queue_);
    std::vector<core::Grant> const drawn_grants = core::draw(schedule, jobs, room);
    grants.reserve(drawn_grants.size());
    for (core::Grant const &drawn_grant : drawn_grants) {
        Lane const &lane = memory->lane[drawn_grant.lane];
        grants.push_back({std::string(lane.name()), drawn_grant.lane, lane.generation, drawn_grant.jobs,
                          memory->scheduled[drawn_grant.lane].weight});
        grants.back().skip_ranges = lane.skip_ranges;
        grants.back().hint = lane.hint;
        draw_from(grants.back());
    }
    return grants;
}

// All lanes give their unused charges back first, because that sets the clock back, and record() reads the clock.
void Ring::settle(const std::vector<Grant> &grants, TimestampTz at) const {
    Exclusive const lock;
    return_drawn();
    if (own_queue() < 0)
        return;
    core::Schedule schedule = schedule_of(queue_);
    for (Grant const &grant : grants)
        if (is_lane_of(grant, queue_))
            schedule.give_back(grant.lane, grant.jobs - grant.result.got);
    for (Grant const &grant : grants)
        if (is_lane_of(grant, queue_))
            record(memory->queues[queue_], grant, at);
    for (Grant const &grant : grants)
        if (is_lane_of(grant, queue_))
            settle_lane(grant);
}

// Another claim may have settled the same lane meanwhile, and may have held it.
void Ring::settle_lane(const Grant &grant) const {
    Lane &lane = memory->lane[grant.lane];
    GrantResult const &result = grant.result;
    core::Schedule schedule = schedule_of(queue_);
    core::Holds holds = holds_of(queue_);
    make_skip_ranges(grant.lane, result.scanned, clock_);
    lane.hint = grant.hint;
    if (result.got > 0)
        schedule.served(grant.lane);
    if (result.empty && lane.changed_at <= clock_) {
        holds.end(grant.lane);
        schedule.leave(grant.lane);
        return;
    }
    bool const held = holds.is_held(grant.lane) ||
                      (result.hold && may_hold_lanes() &&
                       holds.hold(grant.lane, result.hold->reason, result.hold->until, events_));
    if (result.closed && !held && schedule.contains(grant.lane))
        schedule.pass_over(grant.lane);
}

void Ring::set_weight(const Grant &grant, int weight) const {
    Exclusive const lock;
    if (own_queue() >= 0 && is_lane_of(grant, queue_))
        schedule_of(queue_).set_weight(grant.lane, weight);
}

std::optional<int> lanes(Oid table, std::string_view name) {
    if (memory == nullptr)
        return std::nullopt;
    Exclusive const lock;
    int const queue = find_queue(table, name);
    if (queue < 0 || !memory->queues[queue].complete)
        return std::nullopt;
    return schedule_of(queue).lanes() - memory->queues[queue].holds.lanes;
}

// A queue without a place is known by nothing but the time at which it was refused one. Nobody waits for jobs of a queue that
// no session has claimed from yet: a wait that comes before the first claim ends at once.
void find_queues_of(Oid table, std::string_view tenant, QueuesOfTenant &found) {
    found.count = 0;
    found.all = memory == nullptr;
    if (found.all)
        return;
    auto const add = [&](int queue) {
        found.all = found.all || found.count == QueuesOfTenant::kMost;
        if (!found.all)
            found.queues[found.count++] = memory->queues[queue].name_hash;
    };
    Exclusive const lock;
    found.all = std::abs(GetCurrentTimestamp() - memory->refused_at) < USECS_PER_MINUTE;
    for_queues_of(table, [&](int queue) {
        if (!memory->queues[queue].complete && memory->queues[queue].claimed_at != 0)
            add(queue);
    });
    for_lanes_of(table, tenant, [&](int place) {
        int const queue = memory->lane[place].queue;
        if (memory->queues[queue].complete && schedule_of(queue).contains(place))
            add(queue);
    });
}

} // namespace fairq::shared::ring
