// Where the next claim begins (see rotation.hpp).
#include "core/rotation.hpp"

#include <algorithm>

namespace fairq::core {

std::size_t rotation_point(const std::vector<int> &taken) {
    if (taken.empty())
        return 0;
    int const most = *std::max_element(taken.begin(), taken.end());
    int const least = *std::min_element(taken.begin(), taken.end());
    if (most == least)
        return taken.size() - 1;
    auto const last = std::find(taken.rbegin(), taken.rend(), most);
    return taken.size() - 1 - static_cast<std::size_t>(last - taken.rbegin());
}

} // namespace fairq::core
