// terminal.hpp: a summary as text for people. The verdict comes first, then what does not hold with a hint at its cause; the
// last line is alone and plain, so that any CI can read it.
#pragma once

#include <string>
#include <vector>

#include "report/summary.hpp"

namespace fairq::driver::report {

struct TextStyle {
    bool color = false;
    bool symbols = false;    ///< marks beside the words, never instead of them
    bool quiet = false;      ///< verdict, what does not hold, and last line only
    std::size_t width = 100; ///< columns, 40 or more
};

/// `files` are those that were written.
std::string text_report(const Summary &summary, const TextStyle &style,
                        const std::vector<std::string> &files = {});

} // namespace fairq::driver::report
