// What claims learn from the lane index (see ring.hpp): which lanes there are, and the skip ranges in them.
#include "shared/ring/memory.hpp"
#include "shared/ring/ring.hpp"

namespace fairq::shared::ring {

namespace {

constexpr int kMostRescanned = 1000;   // lanes, by one claim
constexpr int kRescannedWhenNew = 200; // lanes, by each claim after a restart: 0.3 ms
constexpr int64 kLaneEvery = 1000;     // microseconds
constexpr int64 kEntryEvery = 50;      // microseconds: 20,000 a second, 2 to 3 % of a core
constexpr int kWorthALane = 100;       // entries: for a walk over so many, skip ranges are worth a new lane
constexpr int kMostEntries = 10000;    // by one claim: some milliseconds

} // namespace

void Ring::remember(Grant *first, size_t count) const {
    if (!available())
        return;
    Exclusive const lock;
    if (own_queue() < 0)
        return;
    for (bool const lane : {false, true}) // all buckets, then all lanes: so the cache misses overlap
        for (Grant const *grant = first; count > 1 && grant != first + count; ++grant)
            prefetch_lane(queue_, grant->tenant, lane);
    for (Grant *grant = first; grant != first + count; ++grant) {
        int const place = grant->result.looked_at < kWorthALane ? find_lane(queue_, grant->tenant)
                                                                : find_or_make_lane(queue_, grant->tenant);
        if (place < 0)
            continue;
        make_skip_ranges(place, grant->result.scanned, clock_);
        grant->skip_ranges = memory->lane[place].skip_ranges;
        if (core::PageHint &hint = memory->lane[place].hint; grant->hint.page == 0)
            grant->hint = hint;
        else
            hint = grant->hint;
        grant->result.scanned.clear();
    }
}

// It reads the clock anew, because the claim may have waited for a claim slot since it began.
Ring::Rescan Ring::next_rescan() const {
    TimestampTz const now = GetCurrentTimestamp();
    Exclusive const lock;
    if (own_queue() < 0)
        return {};
    Queue &queue = memory->queues[queue_];
    int64 const elapsed = now - queue.rescanned_at;
    bool const known = queue.complete || queue.overflowed;
    if (known && std::abs(elapsed) < kLaneEvery)
        return {};
    queue.rescanned_at = now;
    return {std::string(queue.rescan, static_cast<size_t>(queue.rescan_length)), queue.rescan_key,
            static_cast<int>(
                std::clamp<int64>(elapsed / kLaneEvery, known ? 1 : kRescannedWhenNew, kMostRescanned)),
            known ? static_cast<int>(std::clamp<int64>(elapsed / kEntryEvery, 1, kMostEntries)) : 0};
}

std::vector<size_t> Ring::rescanned(const std::vector<std::string> &lanes, bool end,
                                    core::LaneKey key) const {
    std::vector<size_t> held;
    held.reserve(lanes.size());
    Exclusive const lock;
    if (own_queue() < 0)
        return held;
    Queue &queue = memory->queues[queue_];
    for (size_t i = 0; i < lanes.size(); ++i) {
        int const place = find_lane(queue_, lanes[i]);
        if (place < 0 || !schedule_of(queue_).contains(place))
            enter(queue_, lanes[i], {});
        else if (memory->held[place].held && memory->held[place].reason == core::HoldReason::limits)
            held.push_back(i);
        else if (holds_of(queue_).end(place))
            hold_ended(place);
    }
    if (end) {
        queue.complete = !queue.overflowed;
        queue.overflowed = false;
    }
    queue.rescan_key = key;
    if (end || !lanes.empty()) {
        std::string_view const at = end ? std::string_view() : lanes.back();
        queue.rescan_length = static_cast<int>(at.copy(queue.rescan, sizeof queue.rescan));
    }
    return held;
}

void Ring::end_hold(const std::string &tenant) const {
    Exclusive const lock;
    int const place = own_queue() < 0 ? -1 : find_lane(queue_, tenant);
    if (place >= 0 && holds_of(queue_).end(place))
        hold_ended(place);
}

// Most queues have no such hold, and need no lock to find that out: whoever makes one tells its time itself.
TimestampTz Ring::next_opening() const {
    if (!available() || memory->queues[queue_].holds.due == 0)
        return DT_NOEND;
    Exclusive const lock;
    return own_queue() < 0 ? DT_NOEND : holds_of(queue_).next_time();
}

core::SkipRanges Ring::skip_ranges_of(const std::string &tenant) const {
    Exclusive const lock;
    int const place = own_queue() < 0 ? -1 : find_lane(queue_, tenant);
    return place < 0 ? core::SkipRanges{} : memory->lane[place].skip_ranges;
}

void Ring::found_in_skip_range(const std::string &tenant, core::LaneKey key) const {
    Exclusive const lock;
    if (own_queue() >= 0)
        enter(queue_, tenant, core::range_of(key));
}

} // namespace fairq::shared::ring
