// The rescan goes around all lanes; each claim does a small step of it (see rescan.hpp).
#include "queue/rescan.hpp"

namespace fairq::queue {

namespace {

class Step {
public:
    Step(const shared::ring::Ring &ring, tables::LiveTable &table, const LimitCheck &limit_check,
         shared::ring::Ring::Rescan at)
        : ring_(ring), table_(table), limit_check_(limit_check), at_(std::move(at)),
          only_lanes_(at_.entries == 0) {}

    void run() {
        look_into_skip_ranges();
        bool end = false;
        while (!end && (only_lanes_ || at_.entries > 0) && static_cast<int>(lanes_.size()) < at_.lanes) {
            std::optional<std::string> lane = table_.next_lane(at_.after);
            end = !lane;
            at_.key = end ? core::kLastKey : core::kFirstKey;
            if (end)
                break;
            at_.after = *lane;
            lanes_.push_back(*std::move(lane));
            look_into_skip_ranges();
        }
        for (size_t const held : ring_.rescanned(lanes_, end, at_.key))
            if (limit_check_.peek(lanes_[held], limits_of(lanes_[held])).reason == Verdict::Reason::open)
                ring_.end_hold(lanes_[held]);
    }

private:
    // Cuts a skip range open where it hides a job. Another claim may just be taking that job: then the cut was
    // needless, and does no harm.
    void look_into_skip_ranges() {
        if (only_lanes_)
            at_.key = core::kLastKey;
        if (at_.key == core::kLastKey)
            return;
        core::SkipRanges const skip_ranges = ring_.skip_ranges_of(at_.after);
        std::vector<core::LaneKey> found;
        at_.key = skip_ranges.any() ? table_.look_into(at_.after, skip_ranges, at_.key, at_.entries, found)
                                    : core::kLastKey;
        for (core::LaneKey const key : found)
            ring_.found_in_skip_range(at_.after, key);
    }

    const shared::ring::Ring &ring_;
    tables::LiveTable &table_;
    const LimitCheck &limit_check_;
    shared::ring::Ring::Rescan at_;
    bool only_lanes_;
    std::vector<std::string> lanes_;
};

} // namespace

void rescan(const shared::ring::Ring &ring, tables::LiveTable &table, const LimitCheck &limit_check) {
    if (shared::ring::Ring::Rescan at = ring.next_rescan(); at.lanes > 0)
        Step(ring, table, limit_check, std::move(at)).run();
}

} // namespace fairq::queue
