// Locks of a tenant, and of one of its concurrency keys, until the transaction ends: no session state, so they
// work through a transaction pooler. No transaction ever waits for one: a claim that finds a tenant or a key locked
// goes on to the next.
#pragma once

#include "pg/boundary.hpp"

namespace fairq::tables {

// True when this transaction has the lock now. queue: its table, so that two queues never share a lock.
bool try_lock_tenant(Oid queue, std::string_view tenant);
bool try_lock_key(Oid queue, std::string_view tenant, std::string_view key);

// Whether another transaction has the lock; this transaction does not try to take it.
bool tenant_is_locked(Oid queue, std::string_view tenant);
bool key_is_locked(Oid queue, std::string_view tenant, std::string_view key);

} // namespace fairq::tables
