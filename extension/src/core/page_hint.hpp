// A page hint: where in the lane index a walk along a lane found its first entry. The next walk along the
// lane mostly finds its first entry on the same page, which spares it the descent from the root. The hint is
// only a guess: the page may have been split, emptied or reused since, so a walk checks the page first.
#pragma once

#include <cstdint>

namespace fairq::core {

struct PageHint {
    std::uint32_t page; // 0: no hint (page 0 is the metapage of the index)
    std::uint16_t item;
};

} // namespace fairq::core
