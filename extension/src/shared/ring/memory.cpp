// The memory of the ring (see memory.hpp). Everything here runs under its lock: it only loads and stores, and
// nothing in it can raise an error.
#include "shared/ring/memory.hpp"

#include "shared/name_hash.hpp"
#include "shared/ring/ring.hpp"

namespace fairq::shared::ring {

Memory *memory = nullptr;

namespace {

constexpr int kLooksForLane = 256; // lanes that are looked at to find one that is not in the schedule
constexpr int64 kIdle = 10 * USECS_PER_SEC, kCapKnownFor = USECS_PER_SEC;

int capacity = 65536; // the setting fairq.ring_lanes

Size size_of_memory() {
    auto const lanes = static_cast<Size>(capacity);
    if (lanes == 0)
        return 0;
    return MAXALIGN(sizeof(Memory)) + MAXALIGN(lanes * sizeof(int32)) +
           MAXALIGN(lanes * sizeof(core::ScheduledLane)) + MAXALIGN(lanes * sizeof(Lane));
}

// The arrays stand behind the head, in this order. Only the buckets are initialised before they are used.
void lay_out() {
    char *at = reinterpret_cast<char *>(memory) + MAXALIGN(sizeof(Memory));
    auto const lanes = static_cast<Size>(capacity);
    memory->bucket = reinterpret_cast<int32 *>(at);
    at += MAXALIGN(lanes * sizeof(int32));
    memory->scheduled = reinterpret_cast<core::ScheduledLane *>(at);
    at += MAXALIGN(lanes * sizeof(core::ScheduledLane));
    memory->lane = reinterpret_cast<Lane *>(at);
}

void attach(void *at) {
    memory = static_cast<Memory *>(at);
}

void initialize(LWLock *lock) {
    *memory = Memory{};
    memory->lock = lock;
    memory->key = draw_key();
    memory->capacity = capacity;
    for (ConditionVariable &free : memory->claim_slot_free)
        ConditionVariableInit(&free);
    lay_out();
    memset(memory->bucket, 0, static_cast<Size>(capacity) * sizeof(int32));
}

uint32 hash_of(int queue, std::string_view tenant) {
    return static_cast<uint32>(core::siphash(memory->key, tenant)) ^
           hash_bytes_uint32(static_cast<uint32>(queue));
}

int32 &bucket_of(uint32 hash) {
    return memory->bucket[hash % static_cast<uint32>(memory->capacity)];
}

void drop(int place) {
    Lane &lane = memory->lane[place];
    schedule_of(lane.queue).leave(place);
    Queue &queue = memory->queues[lane.queue];
    if (lane.queued != 0 && lane.count_generation == queue.count_generation)
        queue.queued_counts_whole = false;
    for (int32 *link = &bucket_of(lane.hash); *link != 0; link = &memory->lane[*link - 1].next)
        if (*link == place + 1) {
            *link = lane.next;
            break;
        }
    lane.queue = -1;
    lane.next = memory->free;
    memory->free = place + 1;
}

void forget_queue(int queue) {
    if (OidIsValid(memory->queues[queue].table))
        for (int place = 0; place < memory->used; ++place)
            if (memory->lane[place].queue == queue)
                drop(place);
    memory->queues[queue] = Queue{};
}

// Frees the lanes of the queue from which no session has claimed for longest, if other queues have been in
// use since: its database may have been dropped, which the ring is not told. If the queue is used again, its
// claims walk over the index until they know its lanes.
void forget_idle_queue(int but) {
    auto const longer_idle = [](const Queue &a, const Queue &b) { return a.claimed_at < b.claimed_at; };
    auto const after = std::max_element(std::begin(memory->queues), std::end(memory->queues), longer_idle);
    Queue *idle = nullptr;
    for (Queue &queue : memory->queues)
        if (OidIsValid(queue.table) && &queue != &memory->queues[but] &&
            after->claimed_at - queue.claimed_at > kIdle && (idle == nullptr || longer_idle(queue, *idle)))
            idle = &queue;
    if (idle != nullptr)
        forget_queue(static_cast<int>(idle - memory->queues));
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
    lane = Lane{};
    lane.generation = generation;
    lane.queue = static_cast<int16>(queue);
    lane.length = static_cast<int16>(tenant.size());
    memcpy(lane.tenant, tenant.data(), tenant.size());
    lane.hash = hash_of(queue, tenant);
    lane.next = bucket_of(lane.hash);
    bucket_of(lane.hash) = place + 1;
    return place;
}

} // namespace

void define_settings() {
    DefineCustomIntVariable("fairq.ring_lanes",
                            "How many tenants with claimable jobs shared memory has room for, in all queues; "
                            "with more, or with 0, claims walk over the index.",
                            nullptr, &capacity, capacity, 0, 4 * 1024 * 1024, PGC_POSTMASTER, 0, nullptr,
                            nullptr, nullptr);
}

const pg::shared_memory::Segment segment{"fairq ring", "FairqRing", size_of_memory, attach, initialize};

core::Schedule schedule_of(int queue) {
    return core::Schedule(memory->scheduled, memory->queues[queue].schedule);
}

int find_queue(Oid table) {
    return pg::place_of_queue(memory->queues, table);
}

int find_or_make_queue(Oid table) {
    int queue = find_queue(table);
    if (queue < 0) {
        auto const *const oldest =
            std::min_element(std::begin(memory->queues), std::end(memory->queues),
                             [](const Queue &a, const Queue &b) { return a.used < b.used; });
        queue = static_cast<int>(oldest - memory->queues);
        forget_queue(queue);
        memory->queues[queue].database = MyDatabaseId;
        memory->queues[queue].table = table;
    }
    memory->queues[queue].used = ++memory->clock;
    return queue;
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
    lane.opened = ++memory->openings;
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

void open(int queue, std::string_view tenant) {
#ifdef FAIRQ_TEST_WITHOUT_OPENINGS // so that the test of full tenants can be seen to fail
    return;
#endif
    if (int const place = find_lane(queue, tenant); place >= 0)
        memory->lane[place].opened = ++memory->openings;
}

int known_cap(int place, TimestampTz now) {
    Lane const &lane = memory->lane[place];
    bool const opened = lane.at_cap.openings < std::max(lane.opened, memory->queues[lane.queue].all_opened);
    return opened || std::abs(now - lane.at_cap.at) >= kCapKnownFor ? 0 : lane.at_cap.cap;
}

void forget_skip_ranges(int queue) {
    memory->queues[queue].clock += kChanges + 1;
    for (int place = 0; place < memory->used; ++place)
        if (memory->lane[place].queue == queue)
            memory->lane[place].skip_ranges = {};
}

void make_skip_ranges(int place, const std::vector<core::KeyRange> &scanned, uint64 since) {
    Lane &lane = memory->lane[place];
    Queue const &queue = memory->queues[lane.queue];
    if (queue.clock - since > kChanges)
        return; // more changes since then than the queue remembers
    for (core::KeyRange const &range : scanned)
        lane.skip_ranges.add(range);
    for (uint64 change = since + 1; change <= queue.clock; ++change)
        if (queue.changes[change % kChanges].lane == lane.hash)
            lane.skip_ranges.invalidate(queue.changes[change % kChanges].where);
}

} // namespace fairq::shared::ring
