// The rotation of rests.
#include "core/share.hpp"

#include <algorithm>

namespace fairq::core {

std::size_t rotation_point(const std::vector<int> &grants) {
    if (grants.empty())
        return 0;
    int const most = *std::max_element(grants.begin(), grants.end());
    int const least = *std::min_element(grants.begin(), grants.end());
    if (most == least)
        return grants.size() - 1;
    auto const last = std::find(grants.rbegin(), grants.rend(), most);
    return grants.size() - 1 - static_cast<std::size_t>(last - grants.rbegin());
}

} // namespace fairq::core
