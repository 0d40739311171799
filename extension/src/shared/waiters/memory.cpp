// The memory of the waiters (see memory.hpp). Everything here runs under its lock: it only loads, stores and
// sets latches, and nothing in it can raise an error.
#include "shared/waiters/memory.hpp"

#include "shared/name_hash.hpp"
#include "shared/waiters/waiters.hpp"

namespace fairq::shared::waiters {

Memory *memory = nullptr;

namespace {

Size size_of_memory() {
    return offsetof(Memory, queues) + static_cast<Size>(pg::shared_memory::max_databases()) * sizeof(Queue);
}

void attach(void *at) {
    memory = static_cast<Memory *>(at);
}

void initialize(LWLock *lock) {
    memset(static_cast<void *>(memory), 0, size_of_memory());
    memory->queue_count = pg::shared_memory::max_databases();
    memory->lock = lock;
    memory->key = draw_key();
    for (Bucket &bucket : memory->buckets) {
        pg_atomic_init_u64(&bucket.news, 0);
        pg_atomic_init_u32(&bucket.waiting, 0);
    }
    for (int slot = 0; slot < kSlots; ++slot)
        memory->slots[slot].next = slot + 1 < kSlots ? slot + 2 : 0;
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

Bucket &bucket_of(Oid table, uint64 queue) {
    return memory->buckets[(queue ^ hash_combine(hash_bytes_uint32(MyDatabaseId), hash_bytes_uint32(table))) %
                           kBuckets];
}

uint64 hash_of(std::string_view name) {
    return core::siphash(memory->key, name);
}

int64 Queue::opens_at() const {
    int64 earliest = others_open_at;
    for (int i = 0; i < opening_count; ++i)
        earliest = std::min(earliest, openings[i].at);
    return earliest;
}

int find_queue(Oid table) {
    return pg::place_of_queue(memory->queues, memory->queue_count, table);
}

int find_or_make_queue(Oid table) {
    int queue = find_queue(table);
    if (queue < 0) {
        for (int i = 0; i < memory->queue_count; ++i)
            if (memory->queues[i].slots == 0 &&
                (queue < 0 || memory->queues[i].used < memory->queues[queue].used))
                queue = i;
        if (queue < 0)
            return -1;
        memory->queues[queue] = Queue{};
        memory->queues[queue].database = MyDatabaseId;
        memory->queues[queue].table = table;
        memory->queues[queue].others_open_at = DT_NOEND;
    }
    memory->queues[queue].used = ++memory->clock;
    return queue;
}

int take_slot(int queue) {
    int const slot = memory->free - 1;
    if (slot < 0)
        return -1;
    Queue &of = memory->queues[queue];
    memory->free = memory->slots[slot].next;
    memory->slots[slot] = Slot{MyProc, 0, of.last, queue, false, 0, {}, 0, {}};
    (of.last == 0 ? of.first : memory->slots[of.last - 1].next) = slot + 1;
    of.last = slot + 1;
    ++of.slots;
    pg_atomic_fetch_add_u32(&bucket_of(of.table).waiting, 1);
    return slot;
}

void unlink(int slot) {
    Slot const &at = memory->slots[slot];
    Queue &of = memory->queues[at.queue];
    bool const was_leader = of.first == slot + 1;
    (at.previous == 0 ? of.first : memory->slots[at.previous - 1].next) = at.next;
    (at.next == 0 ? of.last : memory->slots[at.next - 1].previous) = at.previous;
    pg_atomic_fetch_sub_u32(&bucket_of(of.table).waiting, 1);
    if (was_leader) {
        of.due_at = 0; // so that the next leader looks for scheduled jobs itself
        wake_leader(at.queue);
    }
}

void free_slot(int slot) {
    Slot &at = memory->slots[slot];
    --memory->queues[at.queue].slots;
    at.proc = nullptr;
    at.next = memory->free;
    memory->free = slot + 1;
}

void wake(int slot) {
    unlink(slot);
    memory->slots[slot].woken = true;
    SetLatch(&memory->slots[slot].proc->procLatch);
}

void wake_leader(int queue) {
    int const first = memory->queues[queue].first;
    if (first != 0)
        SetLatch(&memory->slots[first - 1].proc->procLatch);
}

bool note_opening(int queue, Opening opening) {
    Queue &of = memory->queues[queue];
    bool const sooner = opening.at < of.opens_at();
    Opening *const end = of.openings + of.opening_count;
    Opening *const known =
        std::find_if(of.openings, end, [&](auto &at) { return at.queue == opening.queue; });
    if (known != end)
        known->at = std::min(known->at, opening.at);
    else if (of.opening_count < kOpenings)
        of.openings[of.opening_count++] = opening;
    else
        of.others_open_at = std::min(of.others_open_at, opening.at);
    return sooner;
}

void wake_opened(int queue, int64 now) {
    Queue &of = memory->queues[queue];
    for (int i = 0; i < of.opening_count;) {
        if (of.openings[i].at > now) {
            ++i;
            continue;
        }
        uint64 const opened = of.openings[i].queue;
        of.openings[i] = of.openings[--of.opening_count];
        wake_any(queue, 1, opened);
    }
    if (of.others_open_at <= now) {
        of.others_open_at = DT_NOEND;
        wake_any(queue, kSlots);
    }
}

void wake_any(int queue, int64 jobs, std::optional<uint64> of) {
    for (bool const bound : {false, true})
        for (int link = memory->queues[queue].last; link != 0 && jobs > 0;) {
            int const slot = link - 1;
            link = memory->slots[slot].previous;
            if ((memory->slots[slot].bound != 0) == bound && (!of || memory->slots[slot].takes_of(*of))) {
                wake(slot);
                jobs -= bound ? 0 : 1;
            }
        }
}

} // namespace fairq::shared::waiters
