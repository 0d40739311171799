// The memory of the waiters (see memory.hpp). Everything here runs under its lock: loads, stores and
// setting of latches, nothing that may raise.
#include "shared/waiters/memory.hpp"

#include "shared/waiters/waiters.hpp"

namespace fairq::shared::waiters {

Memory *memory = nullptr;

namespace {

Size size_of_memory() {
    return sizeof(Memory);
}

void attach(void *at) {
    memory = static_cast<Memory *>(at);
}

void initialize(LWLock *lock) {
    memset(static_cast<void *>(memory), 0, sizeof(Memory));
    memory->lock = lock;
    memory->key = {pg::shared_memory::secret_word(), pg::shared_memory::secret_word()};
    for (Bucket &bucket : memory->buckets) {
        pg_atomic_init_u64(&bucket.news, 0);
        pg_atomic_init_u32(&bucket.waiting, 0);
    }
    for (int place = 0; place < kPlaces; ++place)
        memory->places[place].next = place + 1 < kPlaces ? place + 2 : 0;
    memory->free = 1;
}

} // namespace

const pg::shared_memory::Segment segment{"fairq waiters", "FairqWaiters", size_of_memory, attach, initialize};

bool available() {
    return memory != nullptr;
}

Bucket &bucket_of(Oid table) {
    return memory
        ->buckets[hash_combine(hash_bytes_uint32(MyDatabaseId), hash_bytes_uint32(table)) % kBuckets];
}

uint64 hash_of(std::string_view tenant) {
    return core::siphash(memory->key, tenant);
}

int find_queue(Oid table) {
    return pg::place_of_queue(memory->queues, table);
}

int find_or_make_queue(Oid table) {
    int queue = find_queue(table);
    if (queue < 0) {
        for (int i = 0; i < kQueues; ++i)
            if (memory->queues[i].places == 0 &&
                (queue < 0 || memory->queues[i].used < memory->queues[queue].used))
                queue = i;
        if (queue < 0)
            return -1;
        memory->queues[queue] = Queue{MyDatabaseId, table, 0, 0, 0, 0, 0, DT_NOEND};
    }
    memory->queues[queue].used = ++memory->clock;
    return queue;
}

int take_place(int queue) {
    int const place = memory->free - 1;
    if (place < 0)
        return -1;
    Queue &of = memory->queues[queue];
    memory->free = memory->places[place].next;
    memory->places[place] = Place{MyProc, 0, of.last, queue, false, 0, {}};
    (of.last == 0 ? of.first : memory->places[of.last - 1].next) = place + 1;
    of.last = place + 1;
    ++of.places;
    pg_atomic_fetch_add_u32(&bucket_of(of.table).waiting, 1);
    return place;
}

void unlink(int place) {
    Place const &at = memory->places[place];
    Queue &of = memory->queues[at.queue];
    bool const was_leader = of.first == place + 1;
    (at.previous == 0 ? of.first : memory->places[at.previous - 1].next) = at.next;
    (at.next == 0 ? of.last : memory->places[at.next - 1].previous) = at.previous;
    pg_atomic_fetch_sub_u32(&bucket_of(of.table).waiting, 1);
    if (was_leader) {
        of.due_at = 0; // the next one looks for itself
        wake_leader(at.queue);
    }
}

void free_place(int place) {
    Place &at = memory->places[place];
    --memory->queues[at.queue].places;
    at.proc = nullptr;
    at.next = memory->free;
    memory->free = place + 1;
}

void wake(int place) {
    unlink(place);
    memory->places[place].woken = true;
    SetLatch(&memory->places[place].proc->procLatch);
}

void wake_leader(int queue) {
    int const first = memory->queues[queue].first;
    if (first != 0)
        SetLatch(&memory->places[first - 1].proc->procLatch);
}

void wake_any(int queue, int64 jobs) {
    for (bool const bound : {false, true})
        for (int link = memory->queues[queue].last; link != 0 && jobs > 0;) {
            int const place = link - 1;
            link = memory->places[place].previous;
            if ((memory->places[place].bound != 0) == bound) {
                wake(place);
                jobs -= bound ? 0 : 1;
            }
        }
}

} // namespace fairq::shared::waiters
