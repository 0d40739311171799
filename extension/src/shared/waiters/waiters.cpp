// What a waiting session does, and what its claims have seen (see waiters.hpp).
#include "shared/waiters/waiters.hpp"

#include "pg/clock.hpp"
#include "shared/waiters/memory.hpp"

namespace fairq::shared::waiters {

namespace {

int own = -1;         // the slot of this session; -1: it does not wait
bool leaving = false; // the session was woken, and gives its slot up when its transaction commits

// What this session's last claims saw, or what mark_seen() set.
struct Seen {
    Oid table;
    std::uint64_t news;
    Saw saw;
    int visited; // lanes, by successive claims that stopped early, each of which began where the last one stopped
};
Seen last_claim = {InvalidOid, 0, Saw::more, 0};

// Needs the lock. True: the session was woken.
bool give_slot_up() {
    bool const woken = memory->slots[own].woken;
    if (!woken)
        unlink(own);
    free_slot(own);
    own = -1;
    leaving = false;
    return woken;
}

} // namespace

std::uint64_t news(Oid table) {
    return memory == nullptr ? 0 : pg_atomic_read_u64(&bucket_of(table).news);
}

// A claim that stops early is continued by the next one. When they have visited as many lanes as there are,
// they have seen all that the queue had when the first of them began.
void claimed(Oid table, std::uint64_t news, Saw saw, int visited, int lanes) {
    bool const goes_on = saw == Saw::stopped && last_claim.saw == Saw::stopped && last_claim.table == table &&
                         last_claim.news == news;
    int const seen = (goes_on ? last_claim.visited : 0) + visited;
    last_claim = {table, news, saw == Saw::stopped && seen >= lanes ? Saw::all : saw, seen};
}

Saw seen(Oid table) {
    if (last_claim.table != table || last_claim.news != news(table))
        return Saw::more;
    return last_claim.saw;
}

void mark_seen(Oid table) {
    last_claim = {table, news(table), Saw::all, 0};
}

bool enter(Oid table, const std::vector<std::string> *tenants) {
    if (memory == nullptr)
        return false;
    Exclusive const lock;
    int const queue = find_or_make_queue(table);
    own = queue < 0 ? -1 : take_slot(queue);
    if (own < 0)
        return false;
    Slot &slot = memory->slots[own];
    slot.bound = tenants == nullptr ? 0 : static_cast<int32>(tenants->size());
    for (int i = 0; i < std::min(slot.bound, kTenants); ++i)
        slot.tenants[i] = hash_of((*tenants)[static_cast<size_t>(i)]);
    return true;
}

Watch watch() {
    int64 const now = pg::monotonic_now();
    Exclusive const lock;
    Slot const &slot = memory->slots[own];
    Queue &queue = memory->queues[slot.queue];
    if (queue.opens_at <= now) {
        queue.opens_at = DT_NOEND;
        wake_any(slot.queue, 1);
    }
    return {slot.woken, queue.first == own + 1, queue.due_at, queue.opens_at};
}

// The look sees the jobs that were committed before it. A job that is committed from here on sets due_at if it is
// due earlier.
void begin_look() {
    Exclusive const lock;
    memory->queues[memory->slots[own].queue].due_at = DT_NOEND;
}

void end_look(TimestampTz next) {
    Exclusive const lock;
    Queue &queue = memory->queues[memory->slots[own].queue];
    queue.due_at = std::min(queue.due_at, next);
}

bool leave() {
    Exclusive const lock;
    leaving = memory->slots[own].woken;
    return leaving || give_slot_up();
}

void end_with_transaction(bool error) {
    if (own < 0 || !(error || leaving))
        return;
    Exclusive const lock;
    int const queue = memory->slots[own].queue;
    if (give_slot_up() && error)
        wake_any(queue, 1);
}

void check_client() {
    pg::call([] {
        if (MyProcPort != nullptr && !pq_check_connection()) {
            ClientConnectionLost = true;
            InterruptPending = true;
        }
        CHECK_FOR_INTERRUPTS();
    });
}

} // namespace fairq::shared::waiters
