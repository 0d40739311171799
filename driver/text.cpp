// text.cpp: see text.hpp.
#include "text.hpp"

#include <algorithm>
#include <numeric>

#include <fmt/format.h>

namespace fairq::driver {
namespace {

/// How many letters have to be put, taken or changed (Levenshtein).
std::size_t distance(const std::string &a, const std::string &b) {
    std::vector<std::size_t> row(b.size() + 1);
    std::iota(row.begin(), row.end(), std::size_t{0});
    for (std::size_t i = 1; i <= a.size(); ++i) {
        std::size_t diagonal = row[0];
        row[0] = i;
        for (std::size_t j = 1; j <= b.size(); ++j) {
            const std::size_t changed = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
            diagonal = row[j];
            row[j] = std::min({changed, row[j] + 1, row[j - 1] + 1});
        }
    }
    return row.back();
}

} // namespace

std::string did_you_mean(const std::string &name, const std::vector<std::string> &known) {
    const auto nearest =
        std::min_element(known.begin(), known.end(), [&](const std::string &a, const std::string &b) {
            return distance(name, a) < distance(name, b);
        });
    if (nearest == known.end() || distance(name, *nearest) > std::max<std::size_t>(2, name.size() / 3))
        return "";
    return fmt::format("; did you mean \"{}\"?", *nearest);
}

} // namespace fairq::driver
