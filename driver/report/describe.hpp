// describe.hpp: plans as text, for `list` and `check`. Pure.
#pragma once

#include <string>

#include "plan/plan.hpp"

namespace fairq::driver::report {

/// The resolved plan: phases, the SQL that would run, gates.
std::string describe_plan(const plan::Plan &plan);

/// Name, description and profiles, for `list`.
std::string summarize_plan(const plan::Plan &plan);

} // namespace fairq::driver::report
