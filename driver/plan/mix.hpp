// mix.hpp: whose turn it is: tenants drawn evenly, by Zipf's law, or with one that floods. Pure, by seed.
#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <vector>

namespace fairq::driver::plan {

enum class Spread {
    even, ///< in turn, each round in an order of its own
    zipf, ///< the n-th tenant 1/n as often as the first
    flood ///< the first tenant has nine of ten
};

class Mix {
public:
    Mix(Spread spread, long long members, std::uint64_t seed);

    /// From 1 on.
    long long next();

private:
    double uniform();
    long long next_in_round();

    Spread spread_;
    std::mt19937_64 random_;
    std::vector<long long> round_;
    std::size_t place_;
    std::vector<double> below_; ///< for Zipf: the share of the members up to each
};

} // namespace fairq::driver::plan
