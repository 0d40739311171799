// The shared memory behind queue_state.hpp: a fixed array of slots under one LWLock. Code that holds the lock
// only loads and stores: it takes no other lock, and nothing in it can raise an error.
#include "shared/queue_state.hpp"

namespace fairq::shared::queue_state {

namespace {

constexpr int kSlots = 64;
constexpr int kTenantBytes = 256;
constexpr int64 kCountPatience = 60 * USECS_PER_SEC; // the session of a count that takes longer has died

struct Slot {
    Oid database, table;
    uint64 used; // number of the last use: the least recently used slot is given to another queue
    TimestampTz housekeeping_at, partitions_looked_at;
    LowWaterMark low_water_marks[static_cast<int>(MarkedIndex::count)];
    int tenant_length; // -1: unknown
    char tenant[kTenantBytes];
    bool exact;
    uint64 generation;          // of the count in progress, or of the last one
    TimestampTz counting_since; // 0: no session is counting
    TimestampTz counted_at;
    int64 counts[2][kCountedStatuses];
};

struct State {
    LWLock *lock;
    uint64 clock;
    uint64 generation;
    Slot slots[kSlots];
};
static_assert(std::is_trivially_destructible_v<State> && std::is_standard_layout_v<State>);

State *state = nullptr;
TimestampTz own_housekeeping = 0; // when this session last did the housekeeping for itself
TimestampTz own_look_at_partitions = 0;

Size size_of_state() {
    return sizeof(State);
}

void attach(void *memory) {
    state = static_cast<State *>(memory);
}

void initialize(LWLock *lock) {
    memset(static_cast<void *>(state), 0, sizeof(State));
    state->lock = lock;
}

// The queue's slot, or null. The caller holds the lock.
Slot *find(Oid table) {
    int const place = pg::place_of_queue(state->slots, table);
    return place < 0 ? nullptr : &state->slots[place];
}

// The queue's slot, or else the least recently used one, emptied. The caller holds the lock exclusively.
Slot &find_or_make(Oid table) {
    Slot *slot = find(table);
    if (slot == nullptr) {
        slot = std::min_element(std::begin(state->slots), std::end(state->slots),
                                [](const Slot &a, const Slot &b) { return a.used < b.used; });
        *slot = Slot{};
        slot->database = MyDatabaseId;
        slot->table = table;
        slot->tenant_length = -1;
    }
    slot->used = ++state->clock;
    return *slot;
}

} // namespace

const pg::shared_memory::Segment segment{"fairq", "FairqState", size_of_state, attach, initialize};

bool available() {
    return state != nullptr;
}

std::optional<std::string> rotation(Oid table) {
    if (!available())
        return std::nullopt;
    char tenant[kTenantBytes];
    int length = -1;
    {
        pg::LockScope const lock(state->lock, LW_SHARED);
        if (Slot const *const slot = find(table)) {
            length = slot->tenant_length;
            memcpy(tenant, slot->tenant, sizeof tenant);
        }
    }
    if (length < 0)
        return std::nullopt;
    return std::string(tenant, static_cast<size_t>(length));
}

void set_rotation(Oid table, std::string_view tenant) {
    if (!available() || tenant.size() > kTenantBytes)
        return;
    pg::LockScope const lock(state->lock, LW_EXCLUSIVE);
    Slot &slot = find_or_make(table);
    slot.tenant_length = static_cast<int>(tenant.size());
    memcpy(slot.tenant, tenant.data(), tenant.size());
}

bool own_housekeeping_is_due(TimestampTz now, int64 interval) {
    bool const due = now - own_housekeeping >= interval;
    own_housekeeping = due ? now : own_housekeeping;
    return due;
}

bool housekeeping_is_due(Oid table, TimestampTz now, int64 interval) {
    if (!available())
        return own_housekeeping_is_due(now, interval);
    {
        pg::LockScope const lock(state->lock, LW_SHARED);
        Slot const *const slot = find(table);
        if (slot && now - slot->housekeeping_at < interval)
            return false;
    }
    pg::LockScope const lock(state->lock, LW_EXCLUSIVE);
    Slot &slot = find_or_make(table);
    if (now - slot.housekeeping_at < interval)
        return false;
    slot.housekeeping_at = now;
    return true;
}

bool partitions_are_due(Oid table, TimestampTz now, int64 interval) {
    auto const is_due = [&](TimestampTz &last) {
        bool const due = now < last || now - last >= interval; // the clock may have been set back
        last = due ? now : last;
        return due;
    };
    if (!available())
        return is_due(own_look_at_partitions);
    pg::LockScope const lock(state->lock, LW_EXCLUSIVE);
    return is_due(find_or_make(table).partitions_looked_at);
}

void hasten_housekeeping(Oid table) {
    own_housekeeping = 0;
    if (!available())
        return;
    pg::LockScope const lock(state->lock, LW_EXCLUSIVE);
    if (Slot *const slot = find(table))
        slot->housekeeping_at = 0;
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
        known.exact = slot->exact;
        known.counted_at = slot->counted_at;
    }
    return known;
}

std::optional<uint64> begin_count(Oid table, TimestampTz now) {
    if (!available())
        return std::nullopt;
    pg::LockScope const lock(state->lock, LW_EXCLUSIVE);
    Slot &slot = find_or_make(table);
    if (slot.counting_since != 0 && now - slot.counting_since < kCountPatience)
        return std::nullopt;
    slot.exact = false;
    slot.counting_since = now;
    slot.generation = ++state->generation;
    memset(slot.counts, 0, sizeof slot.counts);
    return slot.generation;
}

void end_count(Oid table, uint64 generation, const StatusCounts &counted, TimestampTz counted_at) {
    pg::LockScope const lock(state->lock, LW_EXCLUSIVE);
    Slot *const slot = find(table);
    if (slot == nullptr || slot->generation != generation || slot->counting_since == 0)
        return; // the count was invalidated meanwhile: the next reader counts again
    for (int kind = 0; kind < 2; ++kind)
        for (int status = 0; status < kCountedStatuses; ++status)
            slot->counts[kind][status] += counted.by_status[kind][status];
    slot->exact = true;
    slot->counted_at = counted_at;
    slot->counting_since = 0;
}

void forget_counts(Oid table) {
    if (!available())
        return;
    pg::LockScope const lock(state->lock, LW_EXCLUSIVE);
    if (Slot *const slot = find(table)) {
        slot->exact = false;
        slot->counting_since = 0;
        slot->generation = ++state->generation;
    }
}

} // namespace fairq::shared::queue_state
