// style.cpp: see style.hpp.
#include "cli/style.hpp"

#include <algorithm>
#include <cstdlib>
#include <langinfo.h>

#include <sys/ioctl.h>
#include <unistd.h>

namespace fairq::driver::cli {
namespace {

constexpr std::size_t kNarrowest = 40, kWidest = 100;

std::string variable(const char *name) {
    const char *value = std::getenv(name);
    return value != nullptr ? value : "";
}

/// Of the terminal, or as COLUMNS says; a file is as wide as it may be.
std::size_t columns() {
    if (const long given = std::strtol(variable("COLUMNS").c_str(), nullptr, 10); given > 0)
        return static_cast<std::size_t>(given);
    winsize size{};
    const bool known = isatty(STDOUT_FILENO) != 0 && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0;
    return known && size.ws_col > 0 ? size.ws_col : kWidest;
}

} // namespace

report::TextStyle choose_style(const Options &options) {
    report::TextStyle style;
    style.color = !options.no_color && variable("NO_COLOR").empty() && variable("TERM") != "dumb" &&
                  isatty(STDOUT_FILENO) != 0;
    style.symbols = std::string(nl_langinfo(CODESET)) == "UTF-8";
    style.quiet = options.quiet;
    style.width = std::clamp(columns(), kNarrowest, kWidest);
    return style;
}

} // namespace fairq::driver::cli
