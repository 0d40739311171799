// Which queues have a place in the ring's memory (see memory.hpp). Everything here runs under its lock.
#include "shared/ring/memory.hpp"
#include "shared/waiters/waiters.hpp"

namespace fairq::shared::ring {

namespace {

constexpr int64 kIdle = 10 * USECS_PER_SEC;

int32 &bucket_of(Oid database, Oid table, std::string_view name) {
    uint32 const hash =
        hash_combine(hash_combine(hash_bytes_uint32(database), hash_bytes_uint32(table)), hash_of_name(name));
    return memory->queue_bucket[hash % static_cast<uint32>(memory->queue_count)];
}

} // namespace

bool is_of(const Queue &queue, Oid table) {
    return queue.table == table && queue.database == MyDatabaseId;
}

Counting *find_counting(Oid database, Oid table) {
    for (int i = 0; i < memory->counting_count; ++i)
        if (memory->countings[i].table == table && memory->countings[i].database == database)
            return &memory->countings[i];
    return nullptr;
}

int find_queue(Oid table, std::string_view name) {
    for (int32 link = bucket_of(MyDatabaseId, table, name); link != 0; link = memory->queues[link - 1].next)
        if (Queue const &queue = memory->queues[link - 1]; is_of(queue, table) && queue.queue_name() == name)
            return link - 1;
    return -1;
}

// A place that no queue has had yet is in no bucket.
void free_queue_place(int place) {
    Queue const &queue = memory->queues[place];
    if (OidIsValid(queue.table))
        for (int32 *link = &bucket_of(queue.database, queue.table, queue.queue_name()); *link != 0;
             link = &memory->queues[*link - 1].next)
            if (*link == place + 1) {
                *link = queue.next;
                break;
            }
    memory->queues[place] = Queue{};
}

namespace {

// The place has to be free.
void make_queue(int place, Oid table, std::string_view name) {
    Queue &queue = memory->queues[place];
    queue.database = MyDatabaseId;
    queue.table = table;
    queue.length = static_cast<int16>(name.copy(queue.name, core::kMaxQueueBytes));
    queue.name_hash = waiters::hash_of(name);
    queue.life = ++memory->clock;
    queue.next = bucket_of(MyDatabaseId, table, name);
    bucket_of(MyDatabaseId, table, name) = place + 1;
    memory->queues_used = std::max(memory->queues_used, place + 1);
}

// The place of the queue that was used the longest ago, unless that was just now: if more queues than there are places
// were in use, and took each other's, each claim would begin with an empty ring.
int idlest_place(TimestampTz now) {
    Queue *const queues = memory->queues;
    auto const idle_longer = [](const Queue &a, const Queue &b) { return a.used_at < b.used_at; };
    Queue const *const idlest = std::min_element(queues, queues + memory->queue_count, idle_longer);
    return std::abs(now - idlest->used_at) < kIdle ? -1 : static_cast<int>(idlest - queues);
}

} // namespace

int find_queue_or_free_place(Oid table, std::string_view name) {
    int queue = find_queue(table, name);
    if (queue < 0 && memory->queues_used < memory->queue_count && name.size() <= core::kMaxQueueBytes) {
        queue = memory->queues_used;
        make_queue(queue, table, name);
        memory->queues[queue].used_at = GetCurrentTimestamp();
    }
    return queue;
}

int find_or_make_queue(Oid table, std::string_view name) {
    TimestampTz const now = GetCurrentTimestamp();
    int queue = find_queue_or_free_place(table, name);
    if (queue < 0) {
        queue = idlest_place(now);
        if (queue < 0 || name.size() > core::kMaxQueueBytes) {
            memory->refused_at = now;
            return -1;
        }
        forget_queue(queue);
        make_queue(queue, table, name);
    }
    memory->queues[queue].used_at = now;
    return queue;
}

} // namespace fairq::shared::ring
