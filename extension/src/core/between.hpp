// A random name in a range of names.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace fairq::core {

// A string s with first <= s <= last, bytewise, spread over the range by the first byte in which the two
// differ. A walk over the tenants starts there when it is not known where the last walk stopped, so that the
// first tenants by name are not preferred. Needs first <= last; random is any 64 random bits.
inline std::string between(std::string_view first, std::string_view last, std::uint64_t random) {
    std::size_t common = 0;
    while (common < first.size() && common < last.size() && first[common] == last[common])
        ++common;
    if (common == last.size())
        return std::string(last); // first and last are equal
    auto const low = common < first.size() ? static_cast<unsigned char>(first[common]) : 0u;
    auto const high = static_cast<unsigned char>(last[common]);
    auto const byte = low + random % (high - low + 1);
    std::string name(last.substr(0, common));
    if (byte == low)
        return std::string(first);
    name += static_cast<char>(byte);
    return name <= last ? name : std::string(last);
}

} // namespace fairq::core
