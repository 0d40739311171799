// Which concurrency keys a claim may take: of each key at most one job runs at a time.
#pragma once

#include "tables/limit_lookups.hpp"

#include <set>

namespace fairq::tables {

// The key locks of one claim. They are released when its transaction ends.
class KeyLocks {
public:
    enum class State { free, busy, unknown };
    KeyLocks(Oid queue, LimitLookups &lookups) : queue_(queue), lookups_(lookups) {}
    // free: no job runs with the key, and none can until this transaction ends. busy: a running job or another
    // claim has the key, or this claim has already taken a job of it. unknown: this claim has as many locks as it may.
    State take(std::string_view tenant, std::string_view key);
    bool any() const { return locks_ > 0; }

private:
    Oid queue_;
    LimitLookups &lookups_;
    int locks_ = 0;
    std::set<std::string> busy_; // tenant, a zero byte, key; the keys that this claim has taken are in it too
};

} // namespace fairq::tables
