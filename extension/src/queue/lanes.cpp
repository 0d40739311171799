// Lanes by the index (see lanes.hpp).
#include "queue/lanes.hpp"

namespace fairq::queue {

std::optional<std::string> Walk::next() {
    if (table_ == nullptr)
        return next_given();
    if (ended_ || left_-- <= 0)
        return std::nullopt;
    std::optional<std::string> lane = table_->next_lane(at_);
    if (!lane && !wrapped_) {
        wrapped_ = true;
        lane = table_->next_lane("");
    }
    ended_ = !lane || (wrapped_ && *lane > start_);
    if (ended_)
        return std::nullopt;
    at_ = *lane;
    mark_ = table_->mark();
    return lane;
}

std::optional<std::string> Walk::next_given() {
    ended_ = given_at_ == given_.size();
    return ended_ ? std::nullopt : std::optional(given_[given_at_++]);
}

// Enough lanes for one job each.
void WalkedLanes::discover(int lanes) {
    while (state_.lanes < lanes) {
        std::optional<std::string> lane = walk_.next();
        if (!lane)
            return;
        tenants_.push_back(*std::move(lane));
        marks_.push_back(walk_.mark());
        scheduled_.push_back({});
        taken_.push_back(0);
        schedule().enter(static_cast<int>(tenants_.size()) - 1, core::kLeastWeight);
    }
}

std::vector<Share> WalkedLanes::draw(int jobs, const Room &room, const std::vector<int> &full) {
    std::vector<Share> shares;
    core::Schedule const known = schedule();
    auto const busy = std::count_if(full.begin(), full.end(), [&](int lane) { return known.contains(lane); });
    discover(jobs + static_cast<int>(busy));
    core::Schedule lanes = schedule();
    std::vector<core::Part> const parts = core::draw(lanes, jobs, room);
    shares.reserve(parts.size());
    for (core::Part const &part : parts)
        shares.push_back({tenants_[static_cast<size_t>(part.lane)], part.lane, 0, part.jobs,
                          scheduled_[static_cast<size_t>(part.lane)].weight});
    ring_.remember(shares.data(), shares.size());
    for (Share &share : shares)
        if (share.mark.page == 0)
            share.mark = marks_[static_cast<size_t>(share.lane)];
    return shares;
}

// Whoever could not give his part leaves, so that the next draw looks further on; but for a moment's reason.
void WalkedLanes::settle(std::vector<Share> &shares) {
    core::Schedule lanes = schedule();
    ring_.remember(shares.data(), shares.size());
    for (Share const &share : shares) {
        lanes.give_back(share.lane, share.jobs - share.got);
        taken_[static_cast<size_t>(share.lane)] += share.got;
        if ((share.empty || share.closed) && !share.busy)
            lanes.leave(share.lane);
    }
}

void WalkedLanes::set_weight(const Share &share, int weight) {
    schedule().set_weight(share.lane, weight);
}

std::string WalkedLanes::stopped_at() const {
    bool const took = std::any_of(taken_.begin(), taken_.end(), [](int jobs) { return jobs > 0; });
    return walk_.saw_all() && took ? tenants_[core::rotation_point(taken_)] : walk_.position();
}

} // namespace fairq::queue
