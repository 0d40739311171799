// Locks of tenants and of keys (see tenant_lock.hpp): advisory locks whose tags no SQL function can make (there
// field 4 is 1 or 2), on a hash of 64 bits. Two names that share a hash only delay each other. Without the secret
// no role can find such names, nor the lock of another tenant.
#include "tables/tenant_lock.hpp"

#include "tables/secret.hpp"

namespace fairq::tables {

namespace {

constexpr uint16 kLockKind = 3;

// Hashed with the secret of the database. A name contains no zero byte, so a tenant's text never equals a key's.
uint64 hash_of(Oid queue, std::string_view tenant, std::optional<std::string_view> key = std::nullopt) {
    std::string text(reinterpret_cast<const char *>(&queue), sizeof queue);
    text.append(tenant);
    if (key)
        text.append(1, '\0').append(*key);
    static core::SipKey const secret_key = secret();
    return core::siphash(secret_key, text);
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

bool is_locked(uint64 hash) {
    return pg::call([&] {
        LOCKTAG const tag = tag_of(hash);
        int holders = 0;
        GetLockConflicts(&tag, ExclusiveLock, &holders);
        return holders > 0;
    });
}

} // namespace

bool try_lock_tenant(Oid queue, std::string_view tenant) {
#ifdef FAIRQ_TEST_WITHOUT_TENANT_LOCK
    return true; // only tests load this library: they have to see that a cap is exceeded without the lock
#endif
    return try_lock(hash_of(queue, tenant));
}

bool try_lock_key(Oid queue, std::string_view tenant, std::string_view key) {
    return try_lock(hash_of(queue, tenant, key));
}

bool tenant_is_locked(Oid queue, std::string_view tenant) {
    return is_locked(hash_of(queue, tenant));
}

bool key_is_locked(Oid queue, std::string_view tenant, std::string_view key) {
    return is_locked(hash_of(queue, tenant, key));
}

} // namespace fairq::tables
