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
    hint_ = table_->hint();
    return lane;
}

std::optional<std::string> Walk::next_given() {
    ended_ = given_at_ == given_.size();
    return ended_ ? std::nullopt : std::optional(given_[given_at_++]);
}

// Walks on until there are enough lanes to take one job from each.
void WalkedLanes::discover(int lanes) {
    while (state_.lanes < lanes) {
        std::optional<std::string> lane = walk_.next();
        if (!lane)
            return;
        tenants_.push_back(*std::move(lane));
        hints_.push_back(walk_.hint());
        scheduled_.push_back({});
        taken_.push_back(0);
        schedule().enter(static_cast<int>(tenants_.size()) - 1, core::kLeastWeight);
    }
}

std::vector<Grant> WalkedLanes::draw(int jobs, const Room &room, const std::vector<int> &closed) {
    std::vector<Grant> grants;
    core::Schedule const known = schedule();
    auto const busy = std::count_if(closed.begin(), closed.end(), [&](int i) { return known.contains(i); });
    discover(jobs + static_cast<int>(busy));
    core::Schedule lanes = schedule();
    std::vector<core::Grant> const drawn_grants = core::draw(lanes, jobs, room);
    grants.reserve(drawn_grants.size());
    for (core::Grant const &drawn_grant : drawn_grants)
        grants.push_back({tenants_[static_cast<size_t>(drawn_grant.lane)], drawn_grant.lane, 0,
                          drawn_grant.jobs, scheduled_[static_cast<size_t>(drawn_grant.lane)].weight});
    ring_.remember(grants.data(), grants.size());
    for (Grant &grant : grants)
        if (grant.hint.page == 0)
            grant.hint = hints_[static_cast<size_t>(grant.lane)];
    return grants;
}

// A lane that gave less than its grant leaves, unless only another session's tenant lock was the cause.
void WalkedLanes::settle(std::vector<Grant> &grants) {
    core::Schedule lanes = schedule();
    ring_.remember(grants.data(), grants.size());
    for (Grant const &grant : grants) {
        lanes.give_back(grant.lane, grant.jobs - grant.result.got);
        taken_[static_cast<size_t>(grant.lane)] += grant.result.got;
        if ((grant.result.empty || grant.result.closed) && !grant.result.busy)
            lanes.leave(grant.lane);
    }
}

void WalkedLanes::set_weight(const Grant &grant, int weight) {
    schedule().set_weight(grant.lane, weight);
}

std::string WalkedLanes::stopped_at() const {
    bool const took = std::any_of(taken_.begin(), taken_.end(), [](int jobs) { return jobs > 0; });
    return walk_.saw_all() && took ? tenants_[core::rotation_point(taken_)] : walk_.position();
}

} // namespace fairq::queue
