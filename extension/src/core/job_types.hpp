// Which job types a claim takes.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace fairq::core {

// All types or those of a sorted list, and in either case without the types that are paused.
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
