// text.cpp: see text.hpp.
#include "text.hpp"

#include <algorithm>
#include <numeric>

#include <fmt/format.h>

namespace fairq::driver {
namespace {

/// How many letters have to be put, taken or changed (Levenshtein).
std::size_t distance(const std::string &a, const std::string &b) {
    std::vector<std::size_t> row(b.size() + 1);
    std::iota(row.begin(), row.end(), std::size_t{0});
    for (std::size_t i = 1; i <= a.size(); ++i) {
        std::size_t diagonal = row[0];
        row[0] = i;
        for (std::size_t j = 1; j <= b.size(); ++j) {
            const std::size_t changed = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
            diagonal = row[j];
            row[j] = std::min({changed, row[j] + 1, row[j - 1] + 1});
        }
    }
    return row.back();
}

struct Letter {
    char32_t code = 0;
    std::size_t bytes = 1;
    bool valid = false;
};

/// The letter that begins here, by the rules of UTF-8: no overlong forms, no surrogates.
Letter letter_at(const std::string &text, std::size_t at) {
    const auto byte = [&](std::size_t i) {
        return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U;
    };
    const unsigned first = byte(at);
    if (first < 0x80)
        return {first, 1, true};
    const std::size_t more = first >= 0xf0 ? 3 : first >= 0xe0 ? 2 : 1;
    if (first < 0xc2 || first > 0xf4)
        return {};
    char32_t code = first & (0x3fU >> more);
    for (std::size_t i = 1; i <= more; ++i) {
        if ((byte(at + i) & 0xc0U) != 0x80)
            return {};
        code = (code << 6) | (byte(at + i) & 0x3fU);
    }
    static constexpr char32_t kLeast[] = {0, 0x80, 0x800, 0x10000};
    if (code < kLeast[more] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
        return {};
    return {code, more + 1, true};
}

bool in_any(char32_t code, std::initializer_list<std::pair<char32_t, char32_t>> ranges) {
    return std::any_of(ranges.begin(), ranges.end(),
                       [code](const auto &range) { return code >= range.first && code <= range.second; });
}

/// C0 and C1 controls, line separators, and what turns the direction of writing.
bool obeyed(char32_t code) {
    return in_any(code, {{0, 0x1f},
                         {0x7f, 0x9f},
                         {0x61c, 0x61c},
                         {0x200e, 0x200f},
                         {0x2028, 0x202e},
                         {0x2066, 0x2069},
                         {0xfeff, 0xfeff}});
}

std::size_t columns_of_letter(char32_t code) {
    if (in_any(code, {{0x300, 0x36f}, {0x200b, 0x200d}, {0x20d0, 0x20ff}, {0xfe00, 0xfe0f}}))
        return 0;
    return in_any(code, {{0x1100, 0x115f},
                         {0x2e80, 0xa4cf},
                         {0xac00, 0xd7a3},
                         {0xf900, 0xfaff},
                         {0xfe30, 0xfe6f},
                         {0xff00, 0xff60},
                         {0xffe0, 0xffe6},
                         {0x1f300, 0x1faff},
                         {0x20000, 0x3fffd}})
               ? 2
               : 1;
}

std::string escaped(char32_t code) {
    if (code == '\n')
        return "\\n";
    if (code == '\t')
        return "\\t";
    return code < 0x100 ? fmt::format("\\x{:02x}", static_cast<unsigned>(code))
                        : fmt::format("\\u{:04x}", static_cast<unsigned>(code));
}

/// How many bytes of the text fit into so many columns.
std::size_t bytes_that_fit(const std::string &text, std::size_t columns) {
    std::size_t at = 0;
    for (std::size_t used = 0; at < text.size();) {
        const Letter letter = letter_at(text, at);
        used += columns_of_letter(letter.code);
        if (used > columns)
            break;
        at += letter.bytes;
    }
    return at;
}

} // namespace

std::string printable(const std::string &text) {
    std::string shown;
    for (std::size_t at = 0; at < text.size();) {
        const Letter letter = letter_at(text, at);
        if (!letter.valid)
            shown += fmt::format("\\x{:02x}", static_cast<unsigned>(static_cast<unsigned char>(text[at])));
        else if (obeyed(letter.code))
            shown += escaped(letter.code);
        else
            shown += text.substr(at, letter.bytes);
        at += letter.bytes;
    }
    return shown;
}

std::size_t columns_of(const std::string &text) {
    std::size_t columns = 0;
    for (std::size_t at = 0; at < text.size();) {
        const Letter letter = letter_at(text, at);
        columns += columns_of_letter(letter.code);
        at += letter.bytes;
    }
    return columns;
}

std::string clipped(const std::string &text, std::size_t columns, bool ascii) {
    if (columns_of(text) <= columns)
        return text;
    const std::string end = ascii ? "..." : "\u2026";
    return text.substr(0, bytes_that_fit(text, columns - std::min(columns, columns_of(end)))) + end;
}

std::vector<std::string> wrapped(const std::string &text, std::size_t columns, std::size_t indent) {
    std::vector<std::string> lines;
    std::string rest = text;
    while (true) {
        const std::string before(lines.empty() ? 0 : indent, ' ');
        const std::size_t room = std::max<std::size_t>(8, columns - std::min(columns, before.size()));
        std::size_t fits = std::max<std::size_t>(bytes_that_fit(rest, room), letter_at(rest, 0).bytes);
        if (fits >= rest.size()) {
            lines.push_back(before + rest);
            return lines;
        }
        const std::size_t blank = rest.rfind(' ', fits);
        const bool at_blank = blank != std::string::npos && rest.find_first_not_of(' ') < blank;
        fits = at_blank ? blank : fits;
        lines.push_back(before + rest.substr(0, fits));
        rest.erase(0, fits);
        rest.erase(0, std::min(rest.find_first_not_of(' '), rest.size()));
    }
}

std::string did_you_mean(const std::string &name, const std::vector<std::string> &known) {
    const auto nearest =
        std::min_element(known.begin(), known.end(), [&](const std::string &a, const std::string &b) {
            return distance(name, a) < distance(name, b);
        });
    if (nearest == known.end() || distance(name, *nearest) > std::max<std::size_t>(2, name.size() / 3))
        return "";
    return fmt::format("; did you mean \"{}\"?", *nearest);
}

} // namespace fairq::driver
