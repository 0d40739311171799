// The name of a lane: the jobs of one tenant in one queue.
#pragma once

#include <string>
#include <string_view>
#include <tuple>

namespace fairq::core {

constexpr std::string_view kDefaultQueue = "default";

struct LaneName {
    std::string_view queue, tenant;
};

// The same, with its own memory.
struct OwnLaneName {
    std::string queue, tenant;
    explicit OwnLaneName(LaneName of) : queue(of.queue), tenant(of.tenant) {}
    operator LaneName() const { return {queue, tenant}; }
};

// By the names' bytes, the queue first, as the lane index is ordered.
struct LaneOrder {
    using is_transparent = void;
    bool operator()(LaneName a, LaneName b) const {
        return std::tie(a.queue, a.tenant) < std::tie(b.queue, b.tenant);
    }
};

} // namespace fairq::core
