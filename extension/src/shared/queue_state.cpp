// The shared memory behind queue_state.hpp: fixed arrays under one LWLock. Code that holds the lock
// only loads and stores: it takes no other lock, and nothing in it can raise an error.
#include "shared/queue_state.hpp"

#include "core/elapsed.hpp"
#include "pg/clock.hpp"
#include "shared/name_hash.hpp"

namespace fairq::shared::queue_state {

namespace {

constexpr int kSweeps = 96;
constexpr int kTenantBytes = 256;
constexpr int kNameBytes = 256;
constexpr int64 kSweepInterval = USECS_PER_SEC;
constexpr int64 kLogInterval = 3600 * USECS_PER_SEC;
// After a sweep that left work. More than one, because the next may find it all locked by sweeps in progress.
constexpr int kSweepsAgain = 4;
constexpr int64 kHastyInterval =
    2000; // while there is work left; more sessions than a few would be in each other's way
constexpr int64 kCountPatience = 60 * USECS_PER_SEC; // the session of a count that takes longer has died

struct Slot {
    Oid database, table;
    uint64 used; // number of the last use: the least recently used slot is given to another queue
    int64 failures;
    int64 logged_at[kSteps]; // by the monotonic clock; 0: never
    TimestampTz partitions_looked_at;
    LowWaterMark low_water_marks[static_cast<int>(MarkedIndex::count)];
    core::Known known[kParts];
    uint64 generation;          // of the count in progress, or of the last one
    Parts counting;             // the parts of the count in progress
    TimestampTz counting_since; // 0: no session is counting
    TimestampTz counted_at[kParts];
    int64 counts[2][kCountedStatuses];
};

// Names and numbers of a Place.
struct StoredPlace {
    bool known;
    int first_length, second_length;
    char first[kNameBytes], second[kNameBytes];
    int64 major, minor;
};

// The tenant at which the last claim of a queue has stopped that walked over the index. Queues whose names have hashes
// of one place take it from each other.
struct Rotation {
    Oid database, table;
    uint64 queue; // the hash of its name
    int length;
    char tenant[kTenantBytes];
};
constexpr size_t kRotations = 1024;

struct Sweep {
    Oid database, table, scope;
    uint64 used;
    int64 at;  // by the monotonic clock; 0: never
    int again; // so many more sweeps are due at once, unless they leave work in turn
};

// The difference of the wall clock and the monotonic one, and when it changed.
struct Clock {
    int64 offset;
    int64 set_at; // by the monotonic clock; 0: never
    bool known;
};

struct State {
    LWLock *lock;
    uint64 clock;
    uint64 generation;
    Clock wall;
    Sweep sweeps[kSweeps]; // each claim looks for its own, so they stand close together
    StoredPlace places[kSweeps][static_cast<int>(Search::count)];
    core::SipKey key; // of the hashes of queues
    Rotation rotations[kRotations];
    int32 count;
    Slot slots[FLEXIBLE_ARRAY_MEMBER];
};
static_assert(std::is_trivially_destructible_v<State> && std::is_standard_layout_v<State>);

State *state = nullptr;
// Without shared memory.
TimestampTz own_look_at_partitions = 0;
int64 own_sweep_at = 0;
int64 own_logged_at[kSteps] = {};
Clock own_wall = {0, 0, false};

Size size_of_state() {
    return offsetof(State, slots) + static_cast<Size>(pg::shared_memory::max_databases()) * sizeof(Slot);
}

void attach(void *memory) {
    state = static_cast<State *>(memory);
}

void initialize(LWLock *lock) {
    memset(static_cast<void *>(state), 0, size_of_state());
    state->lock = lock;
    state->key = draw_key();
    state->count = pg::shared_memory::max_databases();
}

int part_of(int status) {
    return static_cast<int>(status < kFirstFinished ? Part::live : Part::history);
}

// The queue's slot, or null. The caller holds the lock.
Slot *find(Oid table) {
    int const place = pg::place_of_queue(state->slots, state->count, table);
    return place < 0 ? nullptr : &state->slots[place];
}

// The queue's slot, or else the least recently used one, emptied. The caller holds the lock exclusively.
Slot &find_or_make(Oid table) {
    Slot *slot = find(table);
    if (slot == nullptr) {
        slot = std::min_element(state->slots, state->slots + state->count,
                                [](const Slot &a, const Slot &b) { return a.used < b.used; });
        *slot = Slot{};
        slot->database = MyDatabaseId;
        slot->table = table;
    }
    slot->used = ++state->clock;
    return *slot;
}

// The same two for the sweeps of a scope.
Sweep *find_sweep(Oid table, Oid scope) {
    for (Sweep &sweep : state->sweeps)
        if (sweep.table == table && sweep.scope == scope && sweep.database == MyDatabaseId)
            return &sweep;
    return nullptr;
}

Sweep &find_or_make_sweep(Oid table, Oid scope) {
    Sweep *sweep = find_sweep(table, scope);
    if (sweep == nullptr) {
        sweep = std::min_element(std::begin(state->sweeps), std::end(state->sweeps),
                                 [](const Sweep &a, const Sweep &b) { return a.used < b.used; });
        *sweep = Sweep{MyDatabaseId, table, scope, 0, 0, 0};
        for (StoredPlace &place : state->places[sweep - state->sweeps])
            place.known = false;
    }
    sweep->used = ++state->clock;
    return *sweep;
}

bool is_due(int64 at, int again, int64 now) {
    return at == 0 || core::has_elapsed(again > 0 ? kHastyInterval : kSweepInterval, at, now);
}

std::optional<int64> look_at_clock(Clock &clock, int64 tolerance) {
    int64 const now = pg::monotonic_now(), offset = GetCurrentTimestamp() - now;
    bool const was_set = clock.known && std::abs(offset - clock.offset) > tolerance;
    if (was_set)
        clock.set_at = now;
    if (was_set || !clock.known)
        clock.offset = offset, clock.known = true;
    return clock.set_at == 0 ? std::nullopt : std::optional(now - clock.set_at);
}

} // namespace

const pg::shared_memory::Segment segment{"fairq", "FairqState", size_of_state, attach, initialize};

bool available() {
    return state != nullptr;
}

std::optional<std::string> rotation(Oid table, std::string_view queue) {
    if (!available())
        return std::nullopt;
    uint64 const hash = core::siphash(state->key, queue);
    Rotation found;
    {
        pg::LockScope const lock(state->lock, LW_SHARED);
        found = state->rotations[hash % kRotations];
    }
    if (found.queue != hash || found.table != table || found.database != MyDatabaseId)
        return std::nullopt;
    return std::string(found.tenant, static_cast<size_t>(found.length));
}

void set_rotation(Oid table, std::string_view queue, std::string_view tenant) {
    if (!available() || tenant.size() > kTenantBytes)
        return;
    uint64 const hash = core::siphash(state->key, queue);
    pg::LockScope const lock(state->lock, LW_EXCLUSIVE);
    Rotation &rotation = state->rotations[hash % kRotations];
    rotation = Rotation{MyDatabaseId, table, hash, static_cast<int>(tenant.size()), {}};
    memcpy(rotation.tenant, tenant.data(), tenant.size());
}

bool sweep_is_due(Oid table, Oid scope) {
    int64 const now = pg::monotonic_now();
    if (!available()) {
        bool const due = is_due(own_sweep_at, 0, now);
        own_sweep_at = due ? now : own_sweep_at;
        return due;
    }
    {
        pg::LockScope const lock(state->lock, LW_SHARED);
        Sweep const *const sweep = find_sweep(table, scope);
        if (sweep && !is_due(sweep->at, sweep->again, now))
            return false;
    }
    pg::LockScope const lock(state->lock, LW_EXCLUSIVE);
    Sweep &sweep = find_or_make_sweep(table, scope);
    if (!is_due(sweep.at, sweep.again, now))
        return false;
    sweep.again = std::max(0, sweep.again - 1);
    sweep.at = now;
    return true;
}

bool partitions_are_due(Oid table, TimestampTz now, int64 interval) {
    auto const is_due = [&](TimestampTz &last) {
        bool const due = core::has_elapsed(interval, last, now);
        last = due ? now : last;
        return due;
    };
    if (!available())
        return is_due(own_look_at_partitions);
    pg::LockScope const lock(state->lock, LW_EXCLUSIVE);
    return is_due(find_or_make(table).partitions_looked_at);
}

void sweep_again(Oid table, Oid scope) {
    own_sweep_at = 0;
    if (!available())
        return;
    pg::LockScope const lock(state->lock, LW_EXCLUSIVE);
    find_or_make_sweep(table, scope).again = kSweepsAgain;
}

std::optional<Place> place(Oid table, Oid scope, Search search) {
    if (!available())
        return std::nullopt;
    StoredPlace stored;
    stored.known = false;
    {
        pg::LockScope const lock(state->lock, LW_SHARED);
        if (Sweep const *const sweep = find_sweep(table, scope))
            stored = state->places[sweep - state->sweeps][static_cast<int>(search)];
    }
    if (!stored.known)
        return Place{};
    return Place{std::string(stored.first, static_cast<size_t>(stored.first_length)),
                 std::string(stored.second, static_cast<size_t>(stored.second_length)), stored.major,
                 stored.minor};
}

void set_place(Oid table, Oid scope, Search search, const Place &place) {
    if (!available())
        return;
    pg::LockScope const lock(state->lock, LW_EXCLUSIVE);
    Sweep const &sweep = find_or_make_sweep(table, scope);
    StoredPlace &stored = state->places[&sweep - state->sweeps][static_cast<int>(search)];
    stored.known = true;
    stored.first_length = static_cast<int>(place.first.copy(stored.first, kNameBytes));
    stored.second_length = static_cast<int>(place.second.copy(stored.second, kNameBytes));
    stored.major = place.major;
    stored.minor = place.minor;
}

std::optional<int64> clock_was_set(int64 tolerance) {
    if (!available())
        return look_at_clock(own_wall, tolerance);
    pg::LockScope const lock(state->lock, LW_EXCLUSIVE);
    return look_at_clock(state->wall, tolerance);
}

void count_failure(Oid table) {
    if (!available())
        return;
    pg::LockScope const lock(state->lock, LW_EXCLUSIVE);
    ++find_or_make(table).failures;
}

int64 failures(Oid table) {
    if (!available())
        return 0;
    pg::LockScope const lock(state->lock, LW_SHARED);
    Slot const *const slot = find(table);
    return slot ? slot->failures : 0;
}

bool step_is_to_be_logged(Oid table, int step) {
    int64 const now = pg::monotonic_now();
    auto const look = [&](int64 &at) {
        bool const due = at == 0 || core::has_elapsed(kLogInterval, at, now);
        at = due ? now : at;
        return due;
    };
    if (!available())
        return look(own_logged_at[step]);
    pg::LockScope const lock(state->lock, LW_EXCLUSIVE);
    return look(find_or_make(table).logged_at[step]);
}

LowWaterMark low_water_mark(Oid table, MarkedIndex index) {
    if (!available())
        return {};
    pg::LockScope const lock(state->lock, LW_SHARED);
    Slot const *const slot = find(table);
    return slot ? slot->low_water_marks[static_cast<int>(index)] : LowWaterMark{};
}

void set_low_water_mark(Oid table, MarkedIndex index, LowWaterMark mark) {
    if (!available())
        return;
    pg::LockScope const lock(state->lock, LW_EXCLUSIVE);
    find_or_make(table).low_water_marks[static_cast<int>(index)] = mark;
}

void add(Oid table, const StatusCounts &changes) {
    if (!available())
        return;
    pg::LockScope const lock(state->lock, LW_EXCLUSIVE);
    if (Slot *const slot = find(table))
        for (int kind = 0; kind < 2; ++kind)
            for (int status = 0; status < kCountedStatuses; ++status)
                slot->counts[kind][status] += changes.by_status[kind][status];
}

KnownCounts read(Oid table) {
    KnownCounts known;
    if (!available())
        return known;
    pg::LockScope const lock(state->lock, LW_SHARED);
    if (Slot const *const slot = find(table)) {
        memcpy(known.counts.by_status, slot->counts, sizeof slot->counts);
        std::copy(std::begin(slot->known), std::end(slot->known), known.known);
        std::copy(std::begin(slot->counted_at), std::end(slot->counted_at), known.counted_at);
    }
    return known;
}

std::optional<uint64> begin_count(Oid table, Parts parts, TimestampTz now) {
    if (!available())
        return std::nullopt;
    pg::LockScope const lock(state->lock, LW_EXCLUSIVE);
    Slot &slot = find_or_make(table);
    if (slot.counting_since != 0 && !core::has_elapsed(kCountPatience, slot.counting_since, now))
        return std::nullopt;
    for (int status = 0; status < kCountedStatuses; ++status)
        if (parts.part[part_of(status)])
            slot.counts[0][status] = slot.counts[1][status] = 0;
    for (int part = 0; part < kParts; ++part)
        if (parts.part[part])
            slot.known[part] = core::Known::nothing;
    slot.counting = parts;
    slot.counting_since = now;
    slot.generation = ++state->generation;
    return slot.generation;
}

void end_count(Oid table, uint64 generation, const StatusCounts &counted, const core::Known (&known)[kParts],
               TimestampTz counted_at) {
    pg::LockScope const lock(state->lock, LW_EXCLUSIVE);
    Slot *const slot = find(table);
    if (slot == nullptr || slot->generation != generation || slot->counting_since == 0)
        return; // the count was invalidated meanwhile: the next reader counts again
    for (int kind = 0; kind < 2; ++kind)
        for (int status = 0; status < kCountedStatuses; ++status)
            slot->counts[kind][status] += counted.by_status[kind][status];
    for (int part = 0; part < kParts; ++part)
        if (slot->counting.part[part]) {
            slot->known[part] = known[part];
            slot->counted_at[part] = counted_at;
        }
    slot->counting_since = 0;
}

void forget_counts(Oid table) {
    if (!available())
        return;
    pg::LockScope const lock(state->lock, LW_EXCLUSIVE);
    if (Slot *const slot = find(table)) {
        std::fill(std::begin(slot->known), std::end(slot->known), core::Known::nothing);
        slot->counting_since = 0;
        slot->generation = ++state->generation;
    }
}

} // namespace fairq::shared::queue_state
