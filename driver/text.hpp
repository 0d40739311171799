// text.hpp: words for people. Pure.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace fairq::driver {

/// `; did you mean "x"?` for the known name that is nearest, when one is near; else nothing.
std::string did_you_mean(const std::string &name, const std::vector<std::string> &known);

/// Valid UTF-8 that a terminal shows and does not obey: control characters, marks that turn the direction of writing, and
/// bytes that are no UTF-8 are escaped as in C (\n, \x1b, \u202e).
std::string printable(const std::string &text);

/// Columns that valid UTF-8 without control characters takes on a terminal: wide letters (Chinese, emoji) two, marks that
/// combine with the letter before none.
std::size_t columns_of(const std::string &text);

/// At most so many columns; what is longer ends in "…", or "..." where `ascii`.
std::string clipped(const std::string &text, std::size_t columns, bool ascii = false);

/// Lines of at most so many columns, broken at blanks, or inside a word that is longer than a line. Lines after the first
/// begin with `indent` blanks.
std::vector<std::string> wrapped(const std::string &text, std::size_t columns, std::size_t indent = 0);

} // namespace fairq::driver
