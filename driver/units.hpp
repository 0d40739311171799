// units.hpp: durations, rates and numbers as people write and read them. Pure text functions.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace fairq::driver {

using Milliseconds = std::chrono::milliseconds;

/// Reads "500ms", "30s", "5m", "2h" or a sum such as "1m30s"; nothing else.
std::optional<Milliseconds> parse_duration(std::string_view text);

/// Reads "50/s", "100/m" or "360/h" as events per second.
std::optional<double> parse_rate(std::string_view text);

/// 850ms, 4.2s, 2m31s, 1h05m: at most two units.
std::string format_duration(Milliseconds duration);

/// 1234567 as "1,234,567".
std::string format_count(long long count);

/// At most three decimals, no trailing zeros, thousands separated.
std::string format_number(double number);

/// The duration as an SQL interval literal, in the largest unit that needs no fraction: interval '1 second'.
std::string sql_interval(Milliseconds duration);

} // namespace fairq::driver
