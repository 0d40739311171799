// The seed of randomised tests: it is printed, and FAIRQ_TEST_SEED sets it to repeat a failure.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <random>

namespace fairq::test {

inline std::mt19937_64 seeded_random() {
    const char *const given = std::getenv("FAIRQ_TEST_SEED");
    std::uint64_t const seed = given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
    std::cout << "FAIRQ_TEST_SEED=" << seed << std::endl;
    return std::mt19937_64(seed);
}

// A number between least and most, both included.
inline int number_in(std::mt19937_64 &random, int least, int most) {
    return std::uniform_int_distribution<int>(least, most)(random);
}

} // namespace fairq::test
