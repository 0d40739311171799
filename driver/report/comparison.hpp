// comparison.hpp: two summaries compared, as text. Pure.
#pragma once

#include <string>
#include <vector>

#include "judge/compare.hpp"
#include "judge/verdict.hpp"
#include "report/terminal.hpp"

namespace fairq::driver::report {

/// The figures of a run that get better or worse: percentiles of trends, values of everything else.
std::vector<judge::Figure> figures_of(const Summary &summary);

struct ComparisonReport {
    judge::Outcome outcome =
        judge::Outcome::pass; ///< fail: something is worse; inconclusive: nobody can tell
    std::string text;
};

/// `tolerance` is a share. Runs of two plans, profiles or servers are compared all the same, and the text says so.
ComparisonReport compare_runs(const Summary &base, const Summary &now, double tolerance,
                              const TextStyle &style);

} // namespace fairq::driver::report
