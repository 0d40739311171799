// compare.cpp: see compare.hpp.
#include "judge/compare.hpp"

#include <algorithm>
#include <array>
#include <cmath>

namespace fairq::driver::judge {
namespace {

/// By how much `now` is worse than `base`, as a share of it; below 0: better. Of a base of 0 any step is endless.
double worsening(double base, double now, bool lower_is_better) {
    const double step = lower_is_better ? now - base : base - now;
    if (step == 0)
        return 0;
    return base == 0 ? std::copysign(HUGE_VAL, step) : step / std::abs(base);
}

Change change_of(const Figure &base, const Figure &now, double tolerance, double smallest) {
    const double by_value = worsening(base.value, now.value, base.lower_is_better);
    if (base.exact)
        return by_value > 0 ? Change::worse : by_value < 0 ? Change::better : Change::same;
    if (smallest > tolerance)
        return Change::worse;
    if (by_value > tolerance)
        return Change::unclear;
    const double gained =
        base.lower_is_better ? worsening(base.low, now.high, true) : worsening(base.high, now.low, false);
    return gained < -tolerance ? Change::better : Change::same;
}

Difference compare_one(const Figure &base, const Figure &now, double tolerance) {
    Difference difference;
    difference.name = base.name;
    difference.base = base.value;
    difference.now = now.value;
    difference.ratio = base.value == now.value ? 1 : base.value == 0 ? HUGE_VAL : now.value / base.value;
    difference.smallest =
        base.lower_is_better ? worsening(base.high, now.low, true) : worsening(base.low, now.high, false);
    difference.change = change_of(base, now, tolerance, difference.smallest);
    return difference;
}

const Figure *find(const std::vector<Figure> &figures, const std::string &name) {
    const auto found = std::find_if(figures.begin(), figures.end(),
                                    [&](const Figure &figure) { return figure.name == name; });
    return found == figures.end() ? nullptr : &*found;
}

int concern(const Difference &difference) {
    static constexpr std::array<int, 6> kConcern{4, 3, 0, 1, 2, 2}; // in the order of Change
    return kConcern.at(static_cast<std::size_t>(difference.change));
}

} // namespace

std::vector<Difference> compare(const std::vector<Figure> &base, const std::vector<Figure> &now,
                                double tolerance) {
    std::vector<Difference> differences;
    for (const Figure &figure : base)
        if (const Figure *other = find(now, figure.name))
            differences.push_back(compare_one(figure, *other, tolerance));
        else
            differences.push_back({figure.name, figure.value, 0, 1, 0, Change::only_base});
    for (const Figure &figure : now)
        if (find(base, figure.name) == nullptr)
            differences.push_back({figure.name, 0, figure.value, 1, 0, Change::only_new});
    return differences;
}

void sort_by_concern(std::vector<Difference> &differences) {
    std::stable_sort(differences.begin(), differences.end(), [](const Difference &a, const Difference &b) {
        return concern(a) != concern(b) ? concern(a) < concern(b) : a.smallest > b.smallest;
    });
}

std::string change_word(Change change) {
    static constexpr std::array<const char *, 6> kWords{"same",    "better",       "WORSE",
                                                        "UNCLEAR", "only in base", "only in new"};
    return kWords.at(static_cast<std::size_t>(change));
}

} // namespace fairq::driver::judge
