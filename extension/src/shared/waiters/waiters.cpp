// A waiter's side, and what its session has seen (see waiters.hpp).
#include "shared/waiters/waiters.hpp"

#include "shared/waiters/memory.hpp"

namespace fairq::shared::waiters {

namespace {

int own = -1;         // our place
bool leaving = false; // with the commit: until then, we were woken

// What this session's claims saw, or what it was told to go and see: plain data.
struct Seen {
    Oid table;
    std::uint64_t news;
    Saw saw;
    int visited; // by claims that stopped, one after the other
};
Seen seen_last = {InvalidOid, 0, Saw::full, 0};

// Needs the lock. True: it was woken.
bool give_place_up() {
    bool const woken = memory->places[own].woken;
    if (!woken)
        unlink(own);
    free_place(own);
    own = -1;
    leaving = false;
    return woken;
}

} // namespace

std::uint64_t news(Oid table) {
    return memory == nullptr ? 0 : pg_atomic_read_u64(&bucket_of(table).news);
}

// Claims that stop go on where the last one did. As soon as they have seen as many lanes as there are they
// have seen all, as it was when the first of them began.
void claimed(Oid table, std::uint64_t news, Saw saw, int visited, int lanes) {
    bool const goes_on = saw == Saw::stopped && seen_last.saw == Saw::stopped && seen_last.table == table &&
                         seen_last.news == news;
    int const seen = (goes_on ? seen_last.visited : 0) + visited;
    seen_last = {table, news, saw == Saw::stopped && seen >= lanes ? Saw::all : saw, seen};
}

Saw seen(Oid table) {
    if (seen_last.table != table || seen_last.news != news(table))
        return Saw::full;
    return seen_last.saw;
}

void told(Oid table) {
    seen_last = {table, news(table), Saw::all, 0};
}

bool enter(Oid table, const std::vector<std::string> *tenants) {
    if (memory == nullptr)
        return false;
    Exclusive const lock;
    int const queue = find_or_make_queue(table);
    own = queue < 0 ? -1 : take_place(queue);
    if (own < 0)
        return false;
    Place &place = memory->places[own];
    place.bound = tenants == nullptr ? 0 : static_cast<int32>(tenants->size());
    for (int i = 0; i < std::min(place.bound, kTenants); ++i)
        place.tenants[i] = hash_of((*tenants)[static_cast<size_t>(i)]);
    return true;
}

Watch watch() {
    TimestampTz const now = GetCurrentTimestamp();
    Exclusive const lock;
    Place const &place = memory->places[own];
    Queue &queue = memory->queues[place.queue];
    if (queue.opens_at <= now) {
        queue.opens_at = DT_NOEND;
        wake_any(place.queue, 1);
    }
    return {place.woken, queue.first == own + 1, queue.due_at, queue.opens_at};
}

// What commits from here on makes the time earlier, if need be, and what committed before is seen.
void begin_look() {
    Exclusive const lock;
    memory->queues[memory->places[own].queue].due_at = DT_NOEND;
}

void end_look(TimestampTz next) {
    Exclusive const lock;
    Queue &queue = memory->queues[memory->places[own].queue];
    queue.due_at = std::min(queue.due_at, next);
}

bool leave() {
    Exclusive const lock;
    leaving = memory->places[own].woken;
    return leaving || give_place_up();
}

void end_with_transaction(bool error) {
    if (own < 0 || !(error || leaving))
        return;
    Exclusive const lock;
    int const queue = memory->places[own].queue;
    if (give_place_up() && error)
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
