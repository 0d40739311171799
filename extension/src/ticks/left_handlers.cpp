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

bool is_taken(Oid queue, uint32 place) {
    return pg::call([&] {
        LOCKTAG const tag = tag_of(queue, place);
        int holders = 0;
        pfree(GetLockConflicts(&tag, ExclusiveLock,
                               &holders)); // no tick runs on a standby, where this is not to be freed
        return holders > 0;
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
