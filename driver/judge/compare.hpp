// compare.hpp: which metrics of a run are worse than those of an earlier one, beyond the noise of both. Pure.
#pragma once

#include <string>
#include <vector>

namespace fairq::driver::judge {

/// One figure of a run: a percentile of a metric, or its value.
struct Figure {
    std::string name; ///< with phase and actor: two runs are compared by it
    double value = 0;
    double low = 0,
           high = 0; ///< within which a repetition would be expected; both are `value` when nothing is known
    long long samples = 0;
    bool lower_is_better = true;
    bool exact = false; ///< an invariant: any step to the worse counts, however small
};

enum class Change { same, better, worse, unclear, only_base, only_new };

struct Difference {
    std::string name;
    double base = 0, now = 0;
    double ratio = 1; ///< now / base; 1 when both are 0
    double smallest =
        0; ///< by how much it got worse at least, as a share of base: over the whole of both intervals
    Change change = Change::same;
};

/// `tolerance`: a share, 0.1 is 10 %, by which a figure may be worse. A figure is worse when it is so over the whole of
/// both intervals; when only its value is, nobody can tell, and it is unclear.
std::vector<Difference> compare(const std::vector<Figure> &base, const std::vector<Figure> &now,
                                double tolerance);

/// What is worse first, then what is unclear, missing, better, the same.
void sort_by_concern(std::vector<Difference> &differences);

std::string change_word(Change change);

} // namespace fairq::driver::judge
