// The shared memory behind queue_state.hpp: a fixed array of slots under one LWLock. Code that holds the lock
// only loads and stores: it takes no other lock, and nothing in it can raise an error.
#include "shared/queue_state.hpp"

namespace fairq::shared::queue_state {

namespace {

constexpr int kTenantBytes = 256;
constexpr int64 kCountPatience = 60 * USECS_PER_SEC; // the session of a count that takes longer has died

struct Slot {
    Oid database, table;
    uint64 used; // number of the last use: the least recently used slot is given to another queue
    TimestampTz housekeeping_at;
    LowWaterMark low_water_marks[static_cast<int>(MarkedIndex::count)];
    int tenant_length; // -1: unknown
    char tenant[kTenantBytes];
    core::Known known[kParts];
    uint64 generation;          // of the count in progress, or of the last one
    Parts counting;             // the parts of the count in progress
    TimestampTz counting_since; // 0: no session is counting
    TimestampTz counted_at[kParts];
    int64 counts[2][kCountedStatuses];
};

struct State {
    LWLock *lock;
    uint64 clock;
    uint64 generation;
    int32 count;
    Slot slots[FLEXIBLE_ARRAY_MEMBER];
};
static_assert(std::is_trivially_destructible_v<State> && std::is_standard_layout_v<State>);

State *state = nullptr;
TimestampTz own_housekeeping = 0; // when this session last did the housekeeping for itself

Size size_of_state() {
    return offsetof(State, slots) + static_cast<Size>(pg::shared_memory::max_databases()) * sizeof(Slot);
}

void attach(void *memory) {
    state = static_cast<State *>(memory);
}

void initialize(LWLock *lock) {
    memset(static_cast<void *>(state), 0, size_of_state());
    state->lock = lock;
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
    if (slot.counting_since != 0 && now >= slot.counting_since && now - slot.counting_since < kCountPatience)
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
