// What claims learn by the index (see ring.hpp): which lanes there are, and where in them nothing is to
// claim.
#include "shared/ring/ring.hpp"

#include "shared/ring/memory.hpp"

namespace fairq::shared::ring {

namespace {

constexpr int kMostSurveyed = 1000;
constexpr int kSurveyedWhenNew = 200; // by each claim after a restart: 0.3 ms
constexpr int64 kLaneEvery = 1000;    // microseconds
constexpr int64 kEntryEvery = 50;     // microseconds: 20 000 a second, 2 to 3 % of a core
constexpr int kWorthAPlace = 100;     // entries
constexpr int kMostEntries = 10000;   // by one claim: some milliseconds

} // namespace

// Ours, or -1 when another queue has taken our place.
int Ring::own_queue() const {
    return queue_ >= 0 && memory->queues[queue_].table == table_ ? queue_ : -1;
}

void Ring::remember(Share *first, size_t count) const {
    if (!available())
        return;
    Exclusive const lock;
    if (own_queue() < 0)
        return;
    for (bool const lane : {false, true}) // one after the other they were as many waits for memory
        for (Share const *share = first; count > 1 && share != first + count; ++share)
            prefetch_lane(queue_, share->tenant, lane);
    for (Share *share = first; share != first + count; ++share) {
        int const place = share->looked_at < kWorthAPlace ? find_lane(queue_, share->tenant)
                                                          : find_or_make_lane(queue_, share->tenant);
        if (place < 0)
            continue;
        make_gaps(place, share->passed, clock_);
        share->gaps = memory->lane[place].gaps;
        if (core::Bookmark &mark = memory->lane[place].mark; share->mark.page == 0)
            share->mark = mark;
        else
            mark = share->mark;
        share->passed.clear();
    }
}

// By the clock, not by when the claim began: it may have waited for its turn.
Ring::Survey Ring::next_survey() const {
    TimestampTz const now = GetCurrentTimestamp();
    Exclusive const lock;
    Queue &queue = memory->queues[queue_];
    int64 const elapsed = now - queue.surveyed_at;
    bool const known = queue.complete || queue.overflowed;
    if (known && std::abs(elapsed) < kLaneEvery)
        return {};
    queue.surveyed_at = now;
    return {std::string(queue.survey, static_cast<size_t>(queue.survey_length)), queue.survey_key,
            static_cast<int>(
                std::clamp<int64>(elapsed / kLaneEvery, known ? 1 : kSurveyedWhenNew, kMostSurveyed)),
            known ? static_cast<int>(std::clamp<int64>(elapsed / kEntryEvery, 1, kMostEntries)) : 0};
}

void Ring::surveyed(const std::vector<std::string> &lanes, bool end, core::LaneKey key) const {
    Exclusive const lock;
    if (own_queue() < 0)
        return;
    Queue &queue = memory->queues[queue_];
    for (std::string const &tenant : lanes) {
        int const place = find_lane(queue_, tenant);
        if (place < 0 || !schedule_of(queue_).contains(place))
            enter(queue_, tenant, {});
    }
    if (end) {
        queue.complete = !queue.overflowed;
        queue.overflowed = false;
    }
    queue.survey_key = key;
    if (!end && lanes.empty())
        return;
    std::string const at = end ? std::string() : lanes.back();
    queue.survey_length = static_cast<int>(at.copy(queue.survey, sizeof queue.survey));
}

core::Gaps Ring::gaps_of(const std::string &tenant) const {
    Exclusive const lock;
    int const place = own_queue() < 0 ? -1 : find_lane(queue_, tenant);
    return place < 0 ? core::Gaps{} : memory->lane[place].gaps;
}

void Ring::found_in_gap(const std::string &tenant, core::LaneKey key) const {
    Exclusive const lock;
    if (own_queue() >= 0)
        enter(queue_, tenant, core::stretch_of(key));
}

} // namespace fairq::shared::ring
