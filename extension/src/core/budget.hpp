// How much work may ride on a call of somebody else's: bounds in rows and in time. The work is done in chunks, each as
// large as the speed of the last one lets expect to end in time, so the call is not held up for longer whether a row
// takes a microsecond or ten milliseconds.
#pragma once

#include <algorithm>
#include <cstdint>

namespace fairq::core {

class Budget {
public:
    // now: by any clock that goes on evenly, in microseconds, as are all times here. length: how long the work may
    // take. first: rows of the first chunk, whose speed is not known yet.
    constexpr Budget(std::int64_t now, std::int64_t length, int rows, int first = 50)
        : end_(now + length), rows_(rows), chunk_(first) {}

    constexpr bool spent(std::int64_t now) const { return rows_ <= 0 || now >= end_; }
    constexpr int rows() const { return rows_; }
    // How many rows the next chunk may have: at least one, because work that does not fit must not stop for ever.
    constexpr int chunk() const { return std::max(1, std::min(rows_, chunk_)); }

    // A chunk of `rows` rows was done from `began` to `now`.
    constexpr void used(int rows, std::int64_t began, std::int64_t now) {
        rows_ -= rows;
        if (rows <= 0)
            return;
        std::int64_t const each = std::max<std::int64_t>(1, (now - began) / rows);
        std::int64_t const fitting = std::max<std::int64_t>(0, end_ - now) / 2 / each;
        chunk_ =
            static_cast<int>(std::clamp<std::int64_t>(fitting, 1, std::int64_t{2} * std::max(rows, chunk_)));
    }

private:
    std::int64_t end_;
    int rows_, chunk_;
};

} // namespace fairq::core
