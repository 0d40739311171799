// Where a claim's lanes come from, and in which order: the ring, or a walk over the lane index. Both divide
// by the same schedule (core/schedule.hpp): the ring keeps its schedule from claim to claim, a walk makes one for
// its claim.
#pragma once

#include "queue/internal.hpp"
#include "shared/ring/ring.hpp"

namespace fairq::queue {

using shared::ring::Grant;
using Room = std::function<int(int lane)>;

class Lanes {
public:
    Lanes() = default;
    Lanes(const Lanes &) = delete;
    Lanes &operator=(const Lanes &) = delete;
    virtual ~Lanes() = default;
    // Up to `jobs` jobs for the lanes whose turn it is; fewer when all lanes are out of room. closed: the
    // lanes that are known to give no more.
    virtual std::vector<Grant> draw(int jobs, const Room &room, const std::vector<int> &closed) = 0;
    // Tells how many jobs each lane of a draw gave.
    virtual void settle(std::vector<Grant> &grants) = 0;
    virtual void set_weight(const Grant &grant, int weight) = 0;
    // Notes what the claim has seen of a lane so far, before it looks at that lane again.
    virtual void remember(Grant &grant) = 0;
    // Whether the next claims will not look at the lanes that this claim finds to be empty or held.
    virtual bool drops_lanes() const { return false; }
};

class RingLanes : public Lanes {
public:
    RingLanes(const shared::ring::Ring &ring, TimestampTz now) : ring_(ring), now_(now) {}
    std::vector<Grant> draw(int jobs, const Room &room, const std::vector<int> &) override {
        return ring_.draw(jobs, room, now_);
    }
    void settle(std::vector<Grant> &grants) override { ring_.settle(grants, now_); }
    void set_weight(const Grant &grant, int weight) override { ring_.set_weight(grant, weight); }
    void remember(Grant &grant) override { ring_.remember(&grant); }
    bool drops_lanes() const override { return true; }

private:
    const shared::ring::Ring &ring_;
    TimestampTz now_;
};

// The circular walk over the lanes of the index: first those behind the starting point, then those up to it,
// each once, up to a bound. Or a walk over a given list of tenants.
class Walk {
public:
    Walk(tables::LiveTable &table, std::string start, int most)
        : table_(&table), start_(std::move(start)), at_(start_), left_(most) {}
    explicit Walk(std::vector<std::string> tenants) : given_(std::move(tenants)) {}

    std::optional<std::string> next();
    bool saw_all() const { return ended_; }
    const std::string &position() const { return at_; }
    core::PageHint hint() const { return hint_; } // where the lane begins

private:
    std::optional<std::string> next_given();

    tables::LiveTable *table_ = nullptr;
    std::vector<std::string> given_;
    std::string start_, at_;
    core::PageHint hint_{};
    int left_ = 0;
    size_t given_at_ = 0;
    bool wrapped_ = false, ended_ = false;
};

class WalkedLanes : public Lanes {
public:
    WalkedLanes(const shared::ring::Ring &ring, Walk walk) : ring_(ring), walk_(std::move(walk)) {}
    std::vector<Grant> draw(int jobs, const Room &room, const std::vector<int> &closed) override;
    void settle(std::vector<Grant> &grants) override;
    void set_weight(const Grant &grant, int weight) override;
    void remember(Grant &grant) override { ring_.remember(&grant); }

    // The tenant behind which the next claim's walk starts.
    std::string stopped_at() const;

private:
    core::Schedule schedule() { return core::Schedule(scheduled_.data(), state_); }
    void discover(int lanes);

    const shared::ring::Ring &ring_; // knows skip ranges, also while it does not know all lanes
    Walk walk_;
    std::vector<std::string> tenants_;
    std::vector<core::PageHint> hints_;
    std::vector<core::ScheduledLane> scheduled_;
    std::vector<int> taken_;
    core::ScheduleState state_{};
};

} // namespace fairq::queue
