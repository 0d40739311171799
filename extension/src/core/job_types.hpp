// What a claim takes, by the jobs' type.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace fairq::core {

// Which jobs a claim may take by their type: all, or those in a sorted list; but for those that are paused.
class JobTypes {
public:
    JobTypes() = default;
    explicit JobTypes(std::vector<std::string> sorted) : any_(false), sorted_(std::move(sorted)) {}
    void pause(std::vector<std::string> sorted) { paused_ = std::move(sorted); }
    bool accepts(std::string_view type) const {
        return any_ || std::binary_search(sorted_.begin(), sorted_.end(), type);
    }
    bool pauses(std::string_view type) const {
        return std::binary_search(paused_.begin(), paused_.end(), type);
    }
    bool any() const { return any_ && paused_.empty(); }

private:
    bool any_ = true;
    std::vector<std::string> sorted_, paused_;
};

} // namespace fairq::core
