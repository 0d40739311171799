// Where a walk over the lanes goes on, after a claim that could not divide evenly.
#pragma once

#include <cstddef>
#include <vector>

namespace fairq::core {

// Where the next claim starts: behind this lane (an index into grants). It is the last lane that was rounded
// up, so that the rests of successive claims go round; without a rest, the last lane.
std::size_t rotation_point(const std::vector<int> &grants);

} // namespace fairq::core
