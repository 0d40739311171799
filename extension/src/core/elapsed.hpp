// How long ago something was, by a clock that may be set back.
#pragma once

#include <cstdint>

namespace fairq::core {

// Whether `then` is at least `length` ago. A time that is still to come counts: it stands there because the clock was
// set back, and what waits for it would wait for as long as that.
constexpr bool has_elapsed(std::int64_t length, std::int64_t then, std::int64_t now) {
    return now < then || now - then >= length;
}

} // namespace fairq::core
