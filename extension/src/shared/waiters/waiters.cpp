// What a waiting session does, and what its claims have seen (see waiters.hpp).
#include "shared/waiters/waiters.hpp"

#include "core/limits.hpp"
#include "pg/clock.hpp"
#include "shared/waiters/memory.hpp"

namespace fairq::shared::waiters {

namespace {

int own = -1;         // the slot of this session; -1: it does not wait
bool leaving = false; // the session was woken, and gives its slot up when its transaction commits

// What this session's last claims from a queue saw, or what mark_seen() set.
struct Seen {
    Oid table; // InvalidOid: free
    std::uint64_t queue;
    News news;
    Saw saw;
    int visited; // lanes, by successive claims that stopped early, each of which began where the last one stopped
    std::uint64_t used; // grows with each use
};
// Of a queue that the session has forgotten it takes there to be more. A wait names no more queues than it remembers.
Seen remembered[core::kMostQueuesOfWait] = {};
size_t last = 0; // the one of the last claim
std::uint64_t uses = 0;

// Null: not remembered.
Seen *find_seen(Oid table, std::uint64_t queue) {
    for (Seen &of : remembered)
        if (of.table == table && of.queue == queue)
            return &of;
    return nullptr;
}

Seen &find_or_make_seen(Oid table, std::uint64_t queue) {
    Seen *of = find_seen(table, queue);
    if (of == nullptr) {
        of = std::min_element(std::begin(remembered), std::end(remembered),
                              [](const Seen &a, const Seen &b) { return a.used < b.used; });
        *of = {table, queue, {}, Saw::more, 0, 0};
    }
    of->used = ++uses;
    return *of;
}

News news_of(Oid table, std::uint64_t queue) {
    return {pg_atomic_read_u64(&bucket_of(table, queue).news), pg_atomic_read_u64(&bucket_of(table).news)};
}

// Of both, what leaves more to be seen.
Saw worse(Saw a, Saw b) {
    if (a == Saw::more || b == Saw::more)
        return Saw::more;
    return a == Saw::stopped ? a : b;
}

Saw seen_of(const Seen *of) {
    bool const is_new = of == nullptr || news_of(of->table, of->queue).of_queue != of->news.of_queue;
    return is_new ? Saw::more : of->saw;
}

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

News news(Oid table, std::string_view queue) {
    return memory == nullptr ? News{} : news_of(table, hash_of(queue));
}

// A claim that stops early is continued by the next one. When they have visited as many lanes as there are,
// they have seen all that the queue had when the first of them began.
void claimed(Oid table, std::string_view queue, News news, Saw saw, int visited, int lanes) {
    if (memory == nullptr)
        return;
    Seen &of = find_or_make_seen(table, hash_of(queue));
    bool const goes_on = saw == Saw::stopped && of.saw == Saw::stopped && of.news.of_queue == news.of_queue;
    int const visited_in_all = (goes_on ? of.visited : 0) + visited;
    of.news = news;
    of.saw = saw == Saw::stopped && visited_in_all >= lanes ? Saw::all : saw;
    of.visited = visited_in_all;
    last = static_cast<size_t>(&of - remembered);
}

Saw seen(Oid table, const std::vector<std::string> *queues) {
    Saw saw = Saw::all;
    if (queues != nullptr) {
        for (std::string const &queue : *queues)
            saw = worse(saw, seen_of(find_seen(table, hash_of(queue))));
        return saw;
    }
    if (remembered[last].table != table ||
        remembered[last].news.of_all != pg_atomic_read_u64(&bucket_of(table).news))
        return Saw::more;
    for (Seen const &of : remembered)
        if (of.table == table)
            saw = worse(saw, seen_of(&of));
    return saw;
}

void mark_seen(Oid table, const std::vector<std::string> *queues) {
    auto const mark = [&](Seen &of) {
        of.news = news_of(of.table, of.queue);
        of.saw = Saw::all;
        of.visited = 0;
        last = static_cast<size_t>(&of - remembered);
    };
    if (queues != nullptr)
        for (std::string const &queue : *queues)
            mark(find_or_make_seen(table, hash_of(queue)));
    else if (remembered[last].table != table)
        mark(find_or_make_seen(table, hash_of(core::kDefaultQueue)));
    for (Seen &of : remembered)
        if (queues == nullptr && of.table == table)
            mark(of);
}

namespace {

// Hashes as many names as there is room for, and returns how many names there are; 0 for all.
int32 store(const std::vector<std::string> *names, uint64 *hashes, size_t room) {
    for (size_t i = 0; names != nullptr && i < std::min(names->size(), room); ++i)
        hashes[i] = hash_of((*names)[i]);
    return names == nullptr ? 0 : static_cast<int32>(names->size());
}

} // namespace

bool enter(Oid table, const Wanted &wanted) {
    if (memory == nullptr)
        return false;
    Exclusive const lock;
    int const queue = find_or_make_queue(table);
    own = queue < 0 ? -1 : take_slot(queue);
    if (own < 0)
        return false;
    Slot &slot = memory->slots[own];
    slot.bound = store(wanted.tenants, slot.tenants, kTenants);
    slot.queue_count = store(wanted.queues, slot.queues, kQueues);
    return true;
}

Watch watch() {
    int64 const now = pg::monotonic_now();
    Exclusive const lock;
    Slot const &slot = memory->slots[own];
    Queue &queue = memory->queues[slot.queue];
    wake_opened(slot.queue, now);
    return {slot.woken, queue.first == own + 1, queue.due_at, queue.opens_at()};
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
