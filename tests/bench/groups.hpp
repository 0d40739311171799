// groups.hpp: what is measured. Each group prints its tables; contenders alternate (A B A B …), and every
// ratio is one of two figures of the same round.
#pragma once

#include "report.hpp"

namespace fairq::bench {

struct Size {
    double minutes; ///< that the whole run may take, about
    int rounds = 5;
    double scale = 1; ///< of the number of jobs
    bool quick = false;

    long long jobs(long long full) const; ///< a multiple of 500, at least that
};

struct Group {
    const char *name;
    const char *about;
    void (*measure)(Report &report, const Size &size);
};

void look_at_pages(Report &report, const Size &size);
void look_at_buffers(Report &report, const Size &size);
void compare_claims(Report &report, const Size &size);
void compare_peers(Report &report, const Size &size);
void compare_batches(Report &report, const Size &size);
void compare_singles(Report &report, const Size &size);
void vary_depth(Report &report, const Size &size);
void vary_tenants(Report &report, const Size &size);
void churn(Report &report, const Size &size);
void restart(Report &report, const Size &size);
void analyze(Report &report, const Size &size);
void claim_nothing(Report &report, const Size &size);
void compare_enqueue(Report &report, const Size &size);
void measure_ticks(Report &report, const Size &size);
void measure_pickup(Report &report, const Size &size);
void measure_recovery(Report &report, const Size &size);
void measure_limits(Report &report, const Size &size);
void measure_held_back(Report &report, const Size &size);

} // namespace fairq::bench
