// terminal_page.hpp: lays text out in so many columns. What people and servers wrote is made printable here, whoever hands it
// in.
#pragma once

#include <string>
#include <vector>

#include "report/terminal.hpp"

namespace fairq::driver::report {

class TerminalPage {
public:
    explicit TerminalPage(const TextStyle &style) : style_(style) {}

    /// Rows of a table fit, each on a line.
    bool wide() const { return style_.width >= 96; }
    const TextStyle &style() const { return style_; }

    /// A line as it is; what does not fit is clipped.
    void line(const std::string &text = "");

    /// Text that goes on on further lines, which begin below its `indent`. `color` is of its first `painted` columns.
    void paragraph(const std::string &text, std::size_t indent, const char *color = nullptr,
                   std::size_t painted = 0);

    /// A title and what belongs to it, as many items on a line as fit.
    void items(const std::string &title, const std::vector<std::string> &items);

    /// A title and sentences below it.
    void list(const std::string &title, const std::vector<std::string> &sentences);

    /// A shell command that can be copied: it goes on on further lines after a backslash, and no word of it is cut.
    void command(const std::string &title, const std::string &command);

    const std::string &text() const { return text_; }

private:
    const TextStyle style_;
    std::string text_;
};

} // namespace fairq::driver::report
