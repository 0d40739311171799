// config.hpp: the plan as it was run, as JSON.
#pragma once

#include <string>

#include "plan/plan.hpp"

namespace fairq::driver::report {

std::string plan_config(const plan::Plan &plan);

} // namespace fairq::driver::report
