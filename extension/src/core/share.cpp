// Fair division: progressive filling with integers.
#include "core/share.hpp"

#include <algorithm>
#include <limits>
#include <numeric>

namespace fairq::core {

namespace {

// The most a lane may get, whatever the others leave.
std::vector<int> ceilings(const std::vector<int> &demands, int cap) {
    std::vector<int> limits(demands.size());
    std::transform(demands.begin(), demands.end(), limits.begin(),
                   [cap](int demand) { return demand == kUnknown ? cap : std::min(demand, cap); });
    return limits;
}

} // namespace

std::vector<int> max_min_shares(const std::vector<int> &demands, int total, int cap) {
    std::vector<int> const limits = ceilings(demands, cap);
    std::vector<std::size_t> order(limits.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    // Smallest limit first: whoever wants less than an even part of what is left gets all that it wants.
    std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) { return limits[a] < limits[b]; });
    std::vector<int> parts(limits.size(), 0);
    std::size_t satisfied = 0;
    int left = std::max(total, 0);
    for (; satisfied < order.size(); ++satisfied) {
        int const even = left / static_cast<int>(order.size() - satisfied);
        std::size_t const lane = order[satisfied];
        if (limits[lane] > even)
            break;
        parts[lane] = std::max(limits[lane], 0);
        left -= parts[lane];
    }
    // The rest of the lanes want more than an even part: they get one, and the first of them one more.
    std::vector<std::size_t> hungry(order.begin() + static_cast<std::ptrdiff_t>(satisfied), order.end());
    if (hungry.empty())
        return parts;
    std::sort(hungry.begin(), hungry.end());
    int const even = left / static_cast<int>(hungry.size());
    int rest = left % static_cast<int>(hungry.size());
    for (std::size_t const lane : hungry)
        parts[lane] = even + (rest-- > 0 ? 1 : 0);
    return parts;
}

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
