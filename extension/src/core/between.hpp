// A random place in a range of names.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace fairq::core {

// A string s with first <= s <= last, bytewise, spread over the range by its first differing bytes: where a
// walk over names starts when nobody remembers where the last one stopped. Needs first <= last; random is any
// 64 random bits.
inline std::string between(std::string_view first, std::string_view last, std::uint64_t random) {
    std::size_t common = 0;
    while (common < first.size() && common < last.size() && first[common] == last[common])
        ++common;
    if (common == last.size())
        return std::string(last); // the two are equal
    auto const low = common < first.size() ? static_cast<unsigned char>(first[common]) : 0u;
    auto const high = static_cast<unsigned char>(last[common]);
    auto const byte = low + random % (high - low + 1);
    std::string place(last.substr(0, common));
    if (byte == low)
        return std::string(first);
    place += static_cast<char>(byte);
    return place <= last ? place : std::string(last);
}

} // namespace fairq::core
