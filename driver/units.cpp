// units.cpp: see units.hpp. Everything is decided on text; no clock is read and nothing is printed.
#include "units.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include <fmt/format.h>

namespace fairq::driver {
namespace {

struct Unit {
    std::string_view name;
    long long milliseconds;
};

// "ms" before "m": the longer name has to be tried first.
constexpr std::array<Unit, 4> kUnits{{{"ms", 1}, {"s", 1000}, {"m", 60'000}, {"h", 3'600'000}}};
constexpr double kLongestMilliseconds = 30.0 * 24 * 3'600'000;

const Unit *leading_unit(std::string_view text) {
    for (const Unit &unit : kUnits)
        if (text.substr(0, unit.name.size()) == unit.name)
            return &unit;
    return nullptr;
}

/// Takes a non-negative decimal number off the front of the text.
std::optional<double> take_number(std::string_view &text) {
    const std::size_t length = std::min(text.find_first_not_of("0123456789."), text.size());
    double number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + length, number);
    if (length == 0 || error != std::errc{} || end != text.data() + length)
        return std::nullopt;
    text.remove_prefix(length);
    return number;
}

} // namespace

std::optional<Milliseconds> parse_duration(std::string_view text) {
    if (text.empty())
        return std::nullopt;
    double total = 0;
    while (!text.empty()) {
        const auto number = take_number(text);
        const Unit *unit = leading_unit(text);
        if (!number || unit == nullptr)
            return std::nullopt;
        text.remove_prefix(unit->name.size());
        total += *number * static_cast<double>(unit->milliseconds);
    }
    if (total > kLongestMilliseconds)
        return std::nullopt;
    return Milliseconds(std::llround(total));
}

std::optional<double> parse_rate(std::string_view text) {
    const auto number = take_number(text);
    if (!number || *number <= 0 || text.size() < 2 || text.front() != '/')
        return std::nullopt;
    text.remove_prefix(1);
    const Unit *unit = leading_unit(text);
    if (unit == nullptr || unit->milliseconds < 1000 || text != unit->name)
        return std::nullopt;
    return *number * 1000.0 / static_cast<double>(unit->milliseconds);
}

std::string format_duration(Milliseconds duration) {
    const long long ms = duration.count();
    if (ms < 1000)
        return fmt::format("{}ms", ms);
    if (ms < 60'000)
        return format_number(std::floor(static_cast<double>(ms) / 100.0) / 10.0) + "s";
    const long long seconds = ms / 1000;
    if (seconds < 3600)
        return seconds % 60 == 0 ? fmt::format("{}m", seconds / 60)
                                 : fmt::format("{}m{:02}s", seconds / 60, seconds % 60);
    const long long minutes = seconds / 60;
    return minutes % 60 == 0 ? fmt::format("{}h", minutes / 60)
                             : fmt::format("{}h{:02}m", minutes / 60, minutes % 60);
}

std::string format_count(long long count) {
    std::string digits = std::to_string(count);
    const std::size_t first = digits[0] == '-' ? 1 : 0;
    for (std::size_t at = digits.size(); at > first + 3; at -= 3)
        digits.insert(at - 3, ",");
    return digits;
}

std::string format_number(double number) {
    if (!std::isfinite(number))
        return number > 0 ? "inf" : "nan";
    std::string text = fmt::format("{:.3f}", std::abs(number));
    text.erase(text.find_last_not_of('0') + 1);
    if (text.back() == '.')
        text.pop_back();
    const std::size_t point = text.find('.');
    const std::string fraction = point == std::string::npos ? "" : text.substr(point);
    const std::string whole = format_count(std::stoll(text.substr(0, point)));
    return (number < 0 && text != "0" ? "-" : "") + whole + fraction;
}

std::string sql_interval(Milliseconds duration) {
    const long long ms = duration.count();
    if (ms % 1000 != 0)
        return fmt::format("interval '{} milliseconds'", ms);
    return fmt::format("interval '{} second{}'", ms / 1000, ms == 1000 ? "" : "s");
}

} // namespace fairq::driver
