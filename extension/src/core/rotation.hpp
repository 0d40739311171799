// The rotation of claims that walk over the lane index: behind which lane the next claim begins.
#pragma once

#include <cstddef>
#include <vector>

namespace fairq::core {

// The lane behind which the next claim begins, as an index into `taken`: the jobs that this claim took from
// each lane. It is the last lane that got one job more than other lanes when the division was rounded, so that
// this job goes round between successive claims; if all lanes got the same, it is the last lane.
std::size_t rotation_point(const std::vector<int> &taken);

} // namespace fairq::core
