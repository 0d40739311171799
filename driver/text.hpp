// text.hpp: words for people. Pure.
#pragma once

#include <string>
#include <vector>

namespace fairq::driver {

/// `; did you mean "x"?` for the known name that is nearest, when one is near; else nothing.
std::string did_you_mean(const std::string &name, const std::vector<std::string> &known);

} // namespace fairq::driver
