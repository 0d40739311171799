// Tenant locks (see tenant_lock.hpp): advisory lock tags that no SQL function can make (field 4 is 1 or 2
// there), on a hash of 64 bits. Two names with one hash only keep each other waiting.
#include "pg/live_table.hpp"

#include "pg/tenant_lock.hpp"

namespace fairq::pg {

namespace {

constexpr uint16 kLockKind = 3;
constexpr int kMostKeyLocks = 256; // of one claim: the server's lock table is everybody's

uint64 hash_of(std::string_view text, uint64 seed) {
    return hash_bytes_extended(reinterpret_cast<const unsigned char *>(text.data()),
                               static_cast<int>(text.size()), seed);
}

bool try_lock(uint64 hash) {
#ifdef FAIRQ_TEST_WITHOUT_TENANT_LOCK
    // Shows that the hammer finds what the lock prevents: see tests/integration/queue_limits.cpp.
    return hash == hash;
#else
    return call([&] {
        LOCKTAG tag;
        SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, static_cast<uint32>(hash >> 32), static_cast<uint32>(hash),
                             kLockKind);
        return LockAcquire(&tag, ExclusiveLock, false, true) != LOCKACQUIRE_NOT_AVAIL;
    });
#endif
}

} // namespace

bool try_lock_tenant(Oid queue, std::string_view tenant) {
    return try_lock(hash_of(tenant, queue));
}

bool try_lock_key(Oid queue, std::string_view tenant, std::string_view key) {
    return try_lock(hash_of(key, hash_of(tenant, uint64{queue} << 32)));
}

KeyLocks::State KeyLocks::take(std::string_view tenant, std::string_view key) {
    std::string name(tenant);
    name.append(1, '\0').append(key);
    if (busy_.count(name) > 0)
        return State::busy;
    if (locks_ == kMostKeyLocks)
        return State::unknown;
    bool const locked = try_lock_key(queue_, tenant, key);
    locks_ += locked ? 1 : 0;
    busy_.insert(std::move(name));
    return locked && !probes_.key_holder(tenant, key) ? State::free : State::busy;
}

} // namespace fairq::pg
