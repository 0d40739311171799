// Who gets how many: the fair division of one claim between the lanes (tenants) that it visits.
#pragma once

#include <cstddef>
#include <vector>

namespace fairq::core {

// What is known of a lane: how many jobs it can give. kUnknown until it was asked for more than it had.
constexpr int kUnknown = -1;

// Max-min fair division of `total` jobs over lanes in rotation order (progressive filling, Bertsekas &
// Gallager, "Data Networks", 6.5.2): parts differ by at most one unless a lane has less work than its part or
// `cap` holds it back, and what one lane cannot use goes to the others. Indivisible rests go to the first
// lanes in the order given. demands: for each lane its work, or kUnknown for "as much as it gets". Returns
// one part a lane; their sum is `total` whenever demands and cap allow it. O(n log n).
std::vector<int> max_min_shares(const std::vector<int> &demands, int total, int cap);

// Where the next claim starts: behind this lane (an index into parts). It is the last lane that was rounded
// up, so that the rests of successive claims go round; without a rest, the last lane.
std::size_t rotation_point(const std::vector<int> &parts);

} // namespace fairq::core

#include "core/pure.hpp"
