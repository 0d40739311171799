// terminal_page.cpp: see terminal_page.hpp.
#include "report/terminal_page.hpp"

#include <fmt/format.h>

#include "text.hpp"

namespace fairq::driver::report {
namespace {

constexpr std::size_t kTitle = 16;  ///< columns of a title and what stands before it
constexpr std::size_t kNarrow = 60; ///< below, a title has a line of its own
constexpr std::size_t kIndent = 4;  ///< of what stands below such a title
constexpr const char *kBetween = "   ";

/// The words of a command, quotes and all.
std::vector<std::string> shell_words(const std::string &command) {
    std::vector<std::string> words{""};
    bool quoted = false;
    for (const char c : command) {
        quoted = c == '\'' ? !quoted : quoted;
        if (c == ' ' && !quoted)
            words.emplace_back();
        else
            words.back() += c;
    }
    return words;
}

} // namespace

void TerminalPage::line(const std::string &text) {
    text_ += clipped(printable(text), style_.width, !style_.symbols) + "\n";
}

void TerminalPage::paragraph(const std::string &text, std::size_t indent, const char *color,
                             std::size_t painted) {
    bool first = true;
    for (std::string &line : wrapped(printable(text), style_.width, indent)) {
        if (const std::size_t from = line.find_first_not_of(' ');
            first && style_.color && color != nullptr && from < painted && painted <= line.size())
            line = fmt::format("{}\033[{}m{}\033[0m{}", line.substr(0, from), color,
                               line.substr(from, painted - from), line.substr(painted));
        first = false;
        text_ += line + "\n";
    }
}

void TerminalPage::items(const std::string &title, const std::vector<std::string> &items) {
    const bool narrow = style_.width < kNarrow;
    const std::size_t indent = narrow ? kIndent : kTitle;
    std::string current = fmt::format("  {:<{}}", printable(title), narrow ? 0 : kTitle - 2);
    if (narrow) {
        if (!title.empty())
            line(current);
        current = std::string(kIndent, ' ');
    }
    bool empty = true;
    for (const std::string &raw : items) {
        const std::string item = printable(raw);
        if (!empty && columns_of(current) + 3 + columns_of(item) > style_.width) {
            text_ += current + "\n";
            current = std::string(indent, ' ');
            empty = true;
        }
        current += (empty ? "" : kBetween) + clipped(item, style_.width - indent, !style_.symbols);
        empty = false;
    }
    text_ += current + "\n";
}

void TerminalPage::command(const std::string &title, const std::string &command) {
    const bool narrow = style_.width < kNarrow;
    const std::size_t indent = narrow ? kIndent : kTitle;
    std::string current = fmt::format("  {:<{}}", title, kTitle - 2);
    if (narrow) {
        line("  " + title);
        current = std::string(kIndent, ' ');
    }
    bool empty = true;
    for (const std::string &raw : shell_words(command)) {
        const std::string word = printable(raw);
        if (!empty && columns_of(current) + columns_of(word) + 3 > style_.width) {
            text_ += current + " \\\n";
            current = std::string(indent, ' ');
            empty = true;
        }
        current += (empty ? "" : " ") + word;
        empty = false;
    }
    text_ += current + "\n";
}

void TerminalPage::list(const std::string &title, const std::vector<std::string> &sentences) {
    if (sentences.empty())
        return;
    line("  " + title);
    for (const std::string &sentence : sentences)
        paragraph(std::string(kIndent, ' ') + sentence, kIndent + 2);
}

} // namespace fairq::driver::report
