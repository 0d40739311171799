// A copy of a small table that lives in this process until the table changes, so that a call that needs the table only
// compares a number. Each such table has the trigger fairq_table_changed, which tells its own session of a change at
// once, and all other sessions when the transaction commits.
#pragma once

#include "pg/boundary.hpp"

namespace fairq::pg::table_cache {

void install_callbacks(); // by _PG_init

// A number of this process that grows whenever the relation may have changed: each change that was committed before
// the call has made it grow.
std::uint64_t generation(Oid relation);
// Tells all sessions that the relation has changed, once this transaction commits.
void changed(Oid relation);
// The same for the table that a trigger was called for, which it returns; raises when called in another way.
Oid changed_by_trigger(FunctionCallInfo call_info);

void push_latest_snapshot();
void pop_snapshot();
// Runs body under such a snapshot; an error leaves it to the transaction's abort.
template <class F>
auto with_latest_snapshot(F &&body) -> decltype(body()) {
    push_latest_snapshot();
    auto result = body();
    pop_snapshot();
    return result;
}

// The copy itself, to be kept in a function's static variable. The generation is read first, then the rows, with the
// latest snapshot. So if the table changes during a load, or an error ends it, the next call loads again.
template <class T>
class Copy {
public:
    // load() returns what the relation says to the active snapshot (see read_as_of_snapshot()).
    template <class Load>
    const T &get(Oid relation, Load &&load) {
        std::uint64_t const now = generation(relation);
        if (!loaded_ || relation_ != relation || generation_ != now) {
            loaded_ = false;
            push_latest_snapshot();
            value_ = load();
            pop_snapshot();
            relation_ = relation;
            generation_ = now;
            loaded_ = true;
        }
        return value_;
    }

private:
    T value_{};
    Oid relation_ = InvalidOid;
    std::uint64_t generation_ = 0;
    bool loaded_ = false;
};

} // namespace fairq::pg::table_cache
