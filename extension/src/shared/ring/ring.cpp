// How claims draw from the ring and settle what they drew (see ring.hpp).
#include "shared/ring/ring.hpp"

#include "pg/transaction_end.hpp"
#include "shared/ring/memory.hpp"

namespace fairq::shared::ring {

namespace {

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

Ring::Ring(Oid table) : table_(table) {
    if (memory == nullptr)
        return;
    acquire_claim_slot(table);
    TimestampTz const now = GetCurrentTimestamp();
    Exclusive const lock;
    queue_ = find_or_make_queue(table);
    memory->queues[queue_].claimed_at = now;
    begin_minute(queue_, now);
    clock_ = memory->queues[queue_].clock;
    openings_ = memory->openings;
    complete_ = memory->queues[queue_].complete;
}

std::vector<Grant> Ring::draw(int jobs, const std::function<int(int)> &room, TimestampTz at) const {
    bool const knows_caps = !has_pending_changes(); // known caps leave out this transaction's changes
    std::vector<Grant> grants;
    if (drawn == nullptr)
        drawn = new std::vector<Drawn>;
    Exclusive const lock;
    if (memory->queues[queue_].table != table_)
        return grants; // another queue has got this queue's entry
    core::Schedule schedule = schedule_of(queue_);
    std::vector<core::Grant> const drawn_grants = core::draw(schedule, jobs, room);
    grants.reserve(drawn_grants.size());
    for (core::Grant const &drawn_grant : drawn_grants) {
        Lane const &lane = memory->lane[drawn_grant.lane];
        grants.push_back({std::string(lane.name()), drawn_grant.lane, lane.generation, drawn_grant.jobs,
                          memory->scheduled[drawn_grant.lane].weight});
        grants.back().skip_ranges = lane.skip_ranges;
        grants.back().hint = lane.hint;
        grants.back().known_cap = knows_caps ? ring::known_cap(drawn_grant.lane, at) : 0;
        draw_from(grants.back());
    }
    return grants;
}

// All lanes give their unused charges back first, because that sets the clock back, and record() reads the clock.
void Ring::settle(const std::vector<Grant> &grants, TimestampTz at) const {
    Exclusive const lock;
    return_drawn();
    if (memory->queues[queue_].table != table_)
        return;
    core::Schedule schedule = schedule_of(queue_);
    for (Grant const &grant : grants)
        if (is_lane_of(grant, queue_))
            schedule.give_back(grant.lane, grant.jobs - grant.result.got);
    for (Grant const &grant : grants)
        if (is_lane_of(grant, queue_))
            record(memory->queues[queue_], grant, at);
    for (Grant const &grant : grants) {
        if (!is_lane_of(grant, queue_))
            continue;
        make_skip_ranges(grant.lane, grant.result.scanned, clock_);
        memory->lane[grant.lane].hint = grant.hint;
        if (grant.result.found_cap > 0)
            memory->lane[grant.lane].at_cap = {grant.result.found_cap, openings_, at};
        if (grant.result.got > 0)
            schedule.served(grant.lane);
        if (grant.result.empty && memory->lane[grant.lane].changed_at <= clock_)
            schedule.leave(grant.lane);
        else if (grant.result.closed && schedule.contains(grant.lane))
            schedule.pass_over(grant.lane);
    }
}

void Ring::set_weight(const Grant &grant, int weight) const {
    Exclusive const lock;
    if (is_lane_of(grant, queue_))
        schedule_of(queue_).set_weight(grant.lane, weight);
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
