// baseline.hpp: what an earlier run had, from its JSON summary.
#pragma once

#include <string>

#include "judge/gates.hpp"

namespace fairq::driver::cli {

/// The values of the thresholds. Throws UsageError when the file is no summary of this plan.
judge::Baseline read_baseline(const std::string &path, const std::string &plan);

} // namespace fairq::driver::cli
