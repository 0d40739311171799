// The rotation of rests.
#include "core/share.hpp"

#include <algorithm>

namespace fairq::core {

std::size_t rotation_point(const std::vector<int> &parts) {
    if (parts.empty())
        return 0;
    int const most = *std::max_element(parts.begin(), parts.end());
    int const least = *std::min_element(parts.begin(), parts.end());
    if (most == least)
        return parts.size() - 1;
    auto const last = std::find(parts.rbegin(), parts.rend(), most);
    return parts.size() - 1 - static_cast<std::size_t>(last - parts.rbegin());
}

} // namespace fairq::core
