// Where in the lane index a walk found its first entry. The next walk along the lane mostly finds its own on
// the same page, and is spared the way down to it. Only a guess: the page may have been split, emptied, used
// for something else since, so whoever opens it there looks whether it is still the place.
#pragma once

#include <cstdint>

namespace fairq::core {

struct PageHint {
    std::uint32_t page; // 0: none (there the index has its own data)
    std::uint16_t item;
};

} // namespace fairq::core
