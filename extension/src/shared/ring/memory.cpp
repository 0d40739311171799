// The memory of the ring (see memory.hpp). What needs the ring's lock only loads and stores, and cannot raise an error.
#include "shared/ring/memory.hpp"

#include "shared/name_hash.hpp"
#include "shared/ring/ring.hpp"

namespace fairq::shared::ring {

Memory *memory = nullptr;

namespace {

constexpr int kLooksForLane = 256; // lanes that are looked at to find one that is not in the schedule
constexpr int64 kIdle = 10 * USECS_PER_SEC;
constexpr int kEndedAtOnce = 256; // lanes that are looked at, while the lock is held once

int capacity = 131072;  // the setting fairq.ring_lanes
int queue_count = 1024; // the setting fairq.ring_queues

Size size_of_memory() {
    auto const lanes = static_cast<Size>(capacity);
    if (lanes == 0)
        return 0;
    auto const queues = static_cast<Size>(queue_count);
    return MAXALIGN(sizeof(Memory)) + MAXALIGN(queues * sizeof(Queue)) +
           MAXALIGN(queues * sizeof(ClaimSlots)) +
           MAXALIGN(static_cast<Size>(pg::shared_memory::max_databases()) * sizeof(Counting)) +
           MAXALIGN(queues * sizeof(int32)) + 2 * MAXALIGN(lanes * sizeof(int32)) +
           MAXALIGN(lanes * sizeof(core::ScheduledLane)) + MAXALIGN(lanes * sizeof(core::HeldLane)) +
           MAXALIGN(lanes * sizeof(Lane));
}

template <class Element>
void lay_out(Element *&array, int count, char *&at) {
    array = reinterpret_cast<Element *>(at);
    at += MAXALIGN(static_cast<Size>(count) * sizeof(Element));
}

// The arrays stand behind the head. What is there for each lane is initialised when the lane is used, but the buckets.
void lay_out_arrays() {
    char *at = reinterpret_cast<char *>(memory) + MAXALIGN(sizeof(Memory));
    lay_out(memory->queues, memory->queue_count, at);
    lay_out(memory->claim_slots, memory->queue_count, at);
    lay_out(memory->countings, memory->counting_count, at);
    lay_out(memory->queue_bucket, memory->queue_count, at);
    lay_out(memory->bucket, memory->capacity, at);
    lay_out(memory->tenant_bucket, memory->capacity, at);
    lay_out(memory->scheduled, memory->capacity, at);
    lay_out(memory->held, memory->capacity, at);
    lay_out(memory->lane, memory->capacity, at);
}

void attach(void *at) {
    memory = static_cast<Memory *>(at);
}

void initialize(LWLock *lock) {
    *memory = Memory{};
    memory->lock = lock;
    memory->key = draw_key();
    memory->queue_count = queue_count;
    memory->counting_count = pg::shared_memory::max_databases();
    memory->capacity = capacity;
    lay_out_arrays();
    for (int queue = 0; queue < memory->queue_count; ++queue) {
        memory->queues[queue] = Queue{};
        memory->claim_slots[queue].claiming = 0;
        ConditionVariableInit(&memory->claim_slots[queue].one_is_free);
    }
    std::fill_n(memory->countings, memory->counting_count, Counting{});
    std::fill_n(memory->queue_bucket, memory->queue_count, 0);
    std::fill_n(memory->bucket, capacity, 0);
    std::fill_n(memory->tenant_bucket, capacity, 0);
}

uint32 hash_of(int queue, uint32 tenant_hash) {
    return tenant_hash ^ hash_bytes_uint32(static_cast<uint32>(queue));
}
uint32 hash_of(int queue, std::string_view tenant) {
    return hash_of(queue, hash_of_name(tenant));
}

// Adds the lane to a list, or takes it out. `first` is the list's head, and `links` the lanes' links in it.
void enlist(int32 &first, Links Lane::*links, int place) {
    memory->lane[place].*links = {first, 0};
    if (first != 0)
        (memory->lane[first - 1].*links).previous = place + 1;
    first = place + 1;
}

void delist(int32 &first, Links Lane::*links, int place) {
    Links const at = memory->lane[place].*links;
    (at.previous == 0 ? first : (memory->lane[at.previous - 1].*links).next) = at.next;
    if (at.next != 0)
        (memory->lane[at.next - 1].*links).previous = at.previous;
}

int32 &bucket_of(uint32 hash) {
    return memory->bucket[hash % static_cast<uint32>(memory->capacity)];
}
int32 &tenant_bucket_of(uint32 hash) {
    return memory->tenant_bucket[hash % static_cast<uint32>(memory->capacity)];
}

void drop(int place) {
    Lane &lane = memory->lane[place];
    holds_of(lane.queue).end(place);
    schedule_of(lane.queue).leave(place);
    Queue &queue = memory->queues[lane.queue];
    Counting *const counting = find_counting(queue.database, queue.table);
    if (counting != nullptr && lane.queued != 0 && lane.count_generation == counting->generation)
        counting->whole = false;
    delist(tenant_bucket_of(lane.tenant_hash), &Lane::of_tenant, place);
    delist(queue.lanes, &Lane::of_queue, place);
    for (int32 *link = &bucket_of(lane.hash); *link != 0; link = &memory->lane[*link - 1].next)
        if (*link == place + 1) {
            *link = lane.next;
            break;
        }
    lane.queue = -1;
    lane.next = memory->free;
    memory->free = place + 1;
}

} // namespace

void forget_queue(int queue) {
    while (memory->queues[queue].lanes != 0)
        drop(memory->queues[queue].lanes - 1);
    free_queue_place(queue);
}

namespace {

// Frees the lanes of the queue from which no session has claimed for longest, if other queues have been in
// use since: its database may have been dropped, which the ring is not told. If the queue is used again, its
// claims walk over the index until they know its lanes.
void forget_idle_queue(int but) {
    Queue *const queues = memory->queues, *const end = queues + memory->queues_used;
    auto const longer_idle = [](const Queue &a, const Queue &b) { return a.claimed_at < b.claimed_at; };
    Queue const *const last_used = std::max_element(queues, end, longer_idle);
    Queue *idle = nullptr;
    for (Queue *queue = queues; queue != end; ++queue)
        if (OidIsValid(queue->table) && queue != queues + but &&
            last_used->claimed_at - queue->claimed_at > kIdle &&
            (idle == nullptr || longer_idle(*queue, *idle)))
            idle = queue;
    if (idle != nullptr)
        forget_queue(static_cast<int>(idle - queues));
}

// A free lane; if there is none, that of a tenant that is not in the schedule, of which only how far it was
// ahead of its share is lost; or else one of a queue that is idle. -1: there is none.
int free_lane(int queue) {
    if (memory->free == 0 && memory->used < memory->capacity)
        return memory->used++;
    for (int i = 0; memory->free == 0 && i < kLooksForLane; ++i) {
        int const place = memory->hand;
        memory->hand = (memory->hand + 1) % memory->used;
        Lane const &lane = memory->lane[place];
        if (lane.queue >= 0 && !schedule_of(lane.queue).contains(place))
            drop(place);
    }
    if (memory->free == 0)
        forget_idle_queue(queue);
    int const place = memory->free - 1;
    if (place >= 0)
        memory->free = memory->lane[place].next;
    return place;
}

int make_lane(int queue, std::string_view tenant) {
    int const place = tenant.size() <= core::kMaxNameBytes ? free_lane(queue) : -1;
    if (place < 0)
        return -1;
    Lane &lane = memory->lane[place];
    uint32 const generation = lane.generation + 1;
    memory->scheduled[place] = core::ScheduledLane{};
    // An event of an earlier lane of the tenant may have been forgotten: a claim that began before now holds no such lane.
    core::HeldLane &held = memory->held[place];
    held = core::HeldLane{};
    std::fill(std::begin(held.events), std::end(held.events), memory->queues[queue].holds.events);
    lane = Lane{};
    lane.generation = generation;
    lane.queue = static_cast<int16>(queue);
    lane.length = static_cast<int16>(tenant.size());
    memcpy(lane.tenant, tenant.data(), tenant.size());
    lane.tenant_hash = hash_of_name(tenant);
    lane.hash = hash_of(queue, lane.tenant_hash);
    lane.changed_at = memory->queues[queue].clock; // an earlier lane of the tenant may have changed until now
    lane.next = bucket_of(lane.hash);
    bucket_of(lane.hash) = place + 1;
    enlist(tenant_bucket_of(lane.tenant_hash), &Lane::of_tenant, place);
    enlist(memory->queues[queue].lanes, &Lane::of_queue, place);
    return place;
}

} // namespace

void define_settings() {
    DefineCustomIntVariable("fairq.ring_lanes",
                            "How many tenants with claimable jobs shared memory has room for, in all queues; "
                            "with more, or with 0, claims walk over the index.",
                            nullptr, &capacity, capacity, 0, 4 * 1024 * 1024, PGC_POSTMASTER, 0, nullptr,
                            nullptr, nullptr);
    DefineCustomIntVariable("fairq.ring_queues",
                            "How many queues shared memory has room for, in all databases; of further ones, "
                            "claims walk over the index.",
                            nullptr, &queue_count, queue_count, 1, 32000, PGC_POSTMASTER, 0, nullptr, nullptr,
                            nullptr);
}

const pg::shared_memory::Segment segment{"fairq ring", "FairqRing", size_of_memory, attach, initialize};

core::Schedule schedule_of(int queue) {
    return core::Schedule(memory->scheduled, memory->queues[queue].schedule);
}

core::Holds holds_of(int queue) {
    return core::Holds(memory->held, memory->queues[queue].holds, schedule_of(queue));
}

uint32 hash_of_name(std::string_view tenant) {
    return static_cast<uint32>(core::siphash(memory->key, tenant));
}

void prefetch_lane(int queue, std::string_view tenant, bool lane) {
    int32 const &bucket = bucket_of(hash_of(queue, tenant));
    if (!lane)
        __builtin_prefetch(&bucket);
    else if (bucket != 0)
        __builtin_prefetch(&memory->lane[bucket - 1]);
}

int find_lane(int queue, std::string_view tenant) {
    uint32 const hash = hash_of(queue, tenant);
    for (int32 link = bucket_of(hash); link != 0; link = memory->lane[link - 1].next) {
        Lane const &lane = memory->lane[link - 1];
        if (lane.hash == hash && lane.queue == queue && lane.name() == tenant)
            return link - 1;
    }
    return -1;
}

int find_or_make_lane(int queue, std::string_view tenant) {
    int const place = find_lane(queue, tenant);
    return place < 0 ? make_lane(queue, tenant) : place;
}

void enter(int queue, std::string_view tenant, core::KeyRange where) {
    Queue &of = memory->queues[queue];
    ++of.clock;
    of.changes[of.clock % kChanges] = {hash_of(queue, tenant), where};
    int const place = find_or_make_lane(queue, tenant);
    if (place < 0) {
        of.complete = false;
        of.overflowed = true;
        return;
    }
    Lane &lane = memory->lane[place];
    lane.changed_at = of.clock;
    if (holds_of(queue).happened(place, core::HoldReason::jobs))
        hold_ended(place);
#ifndef FAIRQ_TEST_WITHOUT_INVALIDATION // so that the test of skip ranges can be seen to fail
    lane.skip_ranges.invalidate(where);
#endif
    core::Schedule schedule = schedule_of(queue);
    if (schedule.contains(place))
        return;
    // A lane that was in the schedule before keeps its weight until a claim has read the tenant's row again.
    schedule.enter(place, std::max(memory->scheduled[place].weight, 1));
    lane.due_since = schedule.now();
    lane.served_before = lane.served;
}

void open(Oid table, std::string_view tenant) {
#ifdef FAIRQ_TEST_WITHOUT_OPENINGS // so that the test of full tenants can be seen to fail
    return;
#endif
    for_lanes_of(table, tenant, [](int place) {
        if (holds_of(memory->lane[place].queue).happened(place, core::HoldReason::limits))
            hold_ended(place);
    });
}

// For metrics: the lane was due nothing while it was held, and how long its jobs have waited was due to the tenant.
void hold_ended(int place) {
    Lane &lane = memory->lane[place];
    lane.due_since = memory->queues[lane.queue].schedule.now;
    lane.limited_at = GetCurrentTimestamp();
}

void end_older_holds(Oid table) {
    for (int from = 0;; from += kEndedAtOnce) {
        Exclusive const lock;
        if (from >= memory->used)
            return;
        for (int place = from; place < std::min(from + kEndedAtOnce, memory->used); ++place)
            if (int const queue = memory->lane[place].queue;
                queue >= 0 && is_of(memory->queues[queue], table) && holds_of(queue).end_if_older(place))
                hold_ended(place);
    }
}

void forget_skip_ranges(int queue) {
    memory->queues[queue].clock += kChanges + 1;
    for (int32 link = memory->queues[queue].lanes; link != 0; link = memory->lane[link - 1].of_queue.next) {
        memory->lane[link - 1].skip_ranges = {};
        memory->lane[link - 1].changed_at = memory->queues[queue].clock;
    }
}

void make_skip_ranges(int place, const std::vector<core::KeyRange> &scanned, uint64 since) {
    Lane &lane = memory->lane[place];
    Queue const &queue = memory->queues[lane.queue];
    bool const changed = lane.changed_at > since;
    if (changed && queue.clock - since > kChanges)
        return; // more changes since then than the queue remembers
    for (core::KeyRange const &range : scanned)
        lane.skip_ranges.add(range);
    if (!changed)
        return;
    for (uint64 change = since + 1; change <= queue.clock; ++change)
        if (queue.changes[change % kChanges].lane == lane.hash)
            lane.skip_ranges.invalidate(queue.changes[change % kChanges].where);
}

} // namespace fairq::shared::ring
