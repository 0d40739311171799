// SipHash-2-4 (Aumasson and Bernstein): a hash of 64 bits by a secret key. A user without the key can neither compute
// the hash of a name nor find names whose hashes collide.
#pragma once

#include <cstdint>
#include <string_view>

namespace fairq::core {

struct SipKey {
    std::uint64_t first, second;
};

namespace sip {

constexpr std::uint64_t rotate(std::uint64_t value, int bits) {
    return (value << bits) | (value >> (64 - bits));
}

// Up to eight bytes, the first one lowest.
inline std::uint64_t word_of(std::string_view bytes) {
    std::uint64_t word = 0;
    for (std::size_t i = 0; i < bytes.size(); ++i)
        word |= std::uint64_t{static_cast<unsigned char>(bytes[i])} << (8 * i);
    return word;
}

struct State {
    std::uint64_t a, b, c, d;

    explicit constexpr State(const SipKey &key)
        : a(key.first ^ 0x736f6d6570736575), b(key.second ^ 0x646f72616e646f6d),
          c(key.first ^ 0x6c7967656e657261), d(key.second ^ 0x7465646279746573) {}

    void round() {
        a += b, b = rotate(b, 13) ^ a, a = rotate(a, 32);
        c += d, d = rotate(d, 16) ^ c;
        a += d, d = rotate(d, 21) ^ a;
        c += b, b = rotate(b, 17) ^ c, c = rotate(c, 32);
    }

    void add(std::uint64_t word) {
        d ^= word;
        round(), round();
        a ^= word;
    }
};

} // namespace sip

inline std::uint64_t siphash(const SipKey &key, std::string_view bytes) {
    sip::State state(key);
    std::uint64_t const length = std::uint64_t{bytes.size()} << 56;
    for (; bytes.size() >= 8; bytes.remove_prefix(8))
        state.add(sip::word_of(bytes.substr(0, 8)));
    state.add(length | sip::word_of(bytes));
    state.c ^= 0xff;
    for (int i = 0; i < 4; ++i)
        state.round();
    return state.a ^ state.b ^ state.c ^ state.d;
}

} // namespace fairq::core
