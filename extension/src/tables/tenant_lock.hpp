// Locks of a tenant, and of one of its concurrency keys, until the transaction ends: no session state, so
// they work through a transaction pooler. Nobody ever waits for one: whoever finds it taken goes on to the
// next.
#pragma once

#include "pg/boundary.hpp"

namespace fairq::tables {

// True when this transaction has the lock now. queue: its table, so that two queues do not meet.
bool try_lock_tenant(Oid queue, std::string_view tenant);
bool try_lock_key(Oid queue, std::string_view tenant, std::string_view key);

// Whether another transaction has it, without a try.
bool tenant_is_locked(Oid queue, std::string_view tenant);
bool key_is_locked(Oid queue, std::string_view tenant, std::string_view key);

} // namespace fairq::tables
