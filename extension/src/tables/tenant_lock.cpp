// Tenant locks (see tenant_lock.hpp): advisory lock tags that no SQL function can make (field 4 is 1 or 2
// there), on a hash of 64 bits. Two names with one hash only keep each other waiting; but nobody without the
// secret finds two such, nor what another one's lock is.
#include "tables/tenant_lock.hpp"

#include "pg/spi.hpp"
#include "tables/live_table.hpp"
#include "tables/secret.hpp"

namespace fairq::tables {

namespace {

constexpr uint16 kLockKind = 3;
constexpr int kMostKeyLocks = 256; // of one claim: the server's lock table is everybody's

// By the secret of the database. Names have no zero byte, so that no tenant's text is one of a key.
uint64 hash_of(Oid queue, std::string_view tenant, std::optional<std::string_view> key = std::nullopt) {
    std::string text(reinterpret_cast<const char *>(&queue), sizeof queue);
    text.append(tenant);
    if (key)
        text.append(1, '\0').append(*key);
    return core::siphash(secret(pg::schema()), text);
}

LOCKTAG tag_of(uint64 hash) {
    LOCKTAG tag;
    SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, static_cast<uint32>(hash >> 32), static_cast<uint32>(hash),
                         kLockKind);
    return tag;
}

bool try_lock(uint64 hash) {
    return pg::call([&] {
        LOCKTAG const tag = tag_of(hash);
        return LockAcquire(&tag, ExclusiveLock, false, true) != LOCKACQUIRE_NOT_AVAIL;
    });
}

bool others_have(uint64 hash) {
    return pg::call([&] {
        LOCKTAG const tag = tag_of(hash);
        int others = 0;
        GetLockConflicts(&tag, ExclusiveLock, &others);
        return others > 0;
    });
}

} // namespace

bool try_lock_tenant(Oid queue, std::string_view tenant) {
#ifdef FAIRQ_TEST_WITHOUT_TENANT_LOCK
    return true; // of a library that only tests load: their hammer has to find what this lets through
#endif
    return try_lock(hash_of(queue, tenant));
}

bool try_lock_key(Oid queue, std::string_view tenant, std::string_view key) {
    return try_lock(hash_of(queue, tenant, key));
}

bool tenant_is_locked(Oid queue, std::string_view tenant) {
    return others_have(hash_of(queue, tenant));
}

bool key_is_locked(Oid queue, std::string_view tenant, std::string_view key) {
    return others_have(hash_of(queue, tenant, key));
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
    return locked && !lookups_.key_holder(tenant, key) ? State::free : State::busy;
}

} // namespace fairq::tables
