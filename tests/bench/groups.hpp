// groups.hpp: what is measured. Each group prints its table; contenders take turns (A B A B …), and every
// ratio is one of two figures of the same round.
#pragma once

#include "report.hpp"

namespace fairq::bench {

struct Size {
    int rounds = 5;
    double scale = 1; ///< of the number of jobs
    bool quick = false;

    long long jobs(long long full) const; ///< a multiple of 500, at least that
};

void compare_claims(Report &report, const Size &size);
void look_at_pages(Report &report, const Size &size);
void vary_depth(Report &report, const Size &size);
void compare_enqueue(Report &report, const Size &size);
void measure_ticks(Report &report, const Size &size);

} // namespace fairq::bench
