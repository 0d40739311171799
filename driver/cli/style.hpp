// style.hpp: how text is to look where stdout goes.
#pragma once

#include "cli/options.hpp"
#include "report/terminal.hpp"

namespace fairq::driver::cli {

report::TextStyle choose_style(const Options &options);

} // namespace fairq::driver::cli
