// Places of handlers that their tick has left (see left_handlers.hpp): advisory locks of the session, whose tags no SQL
// function can make.
#include "ticks/left_handlers.hpp"

namespace fairq::ticks {

namespace {

constexpr uint16 kLockKind = 4; // 3: see tables/tenant_lock.cpp
constexpr uint32 kPlaces = 64;

LOCKTAG tag_of(Oid queue, uint32 place) {
    LOCKTAG tag;
    SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, queue, place, kLockKind);
    return tag;
}

// Asks for the lock for a moment: a session that has it outside of a transaction, as a coordinator has, is not among the
// conflicts that the lock manager lists. Two ticks that ask at once do not conflict. What this process has counts as free.
bool is_taken(Oid queue, uint32 place) {
    return pg::call([&] {
        LOCKTAG const tag = tag_of(queue, place);
        if (LockAcquire(&tag, ShareLock, false, true) == LOCKACQUIRE_NOT_AVAIL)
            return true;
        LockRelease(&tag, ShareLock, false);
        return false;
    });
}

bool take(Oid queue, uint32 place) {
    return pg::call([&] {
        LOCKTAG const tag = tag_of(queue, place);
        return LockAcquire(&tag, ExclusiveLock, true, true) == LOCKACQUIRE_OK;
    });
}

void give_back(Oid queue, uint32 place) {
    pg::call([&] {
        LOCKTAG const tag = tag_of(queue, place);
        LockRelease(&tag, ExclusiveLock, true);
    });
}

} // namespace

int left_handlers(Oid queue) {
    int taken = 0;
    for (uint32 place = 0; place < kPlaces; ++place)
        taken += is_taken(queue, place) ? 1 : 0;
    return taken;
}

void LeftHandlers::keep(Oid queue, int handlers) {
    auto const wanted = static_cast<size_t>(handlers);
    for (; places_.size() > wanted; places_.pop_back())
        give_back(queue, places_.back());
    for (uint32 place = 0; place < kPlaces && places_.size() < wanted; ++place)
        if (take(queue, place))
            places_.push_back(place);
}

} // namespace fairq::ticks
