// The key locks of a claim (see key_locks.hpp).
#include "tables/key_locks.hpp"

#include "tables/tenant_lock.hpp"

namespace fairq::tables {

constexpr int kMostKeyLocks = 256; // of one claim, because all sessions share the server's lock table

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
