// svg.hpp: charts as static SVG. Colours are presentation attributes, for who allows no style sheet, and classes beside
// them, for light and dark. Every text is escaped here. Pure.
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace fairq::driver::report::svg {

/// Where the time axis of a chart begins and ends, of 720.
constexpr double kLeft = 76, kRight = 708;

using Points = std::vector<std::pair<double, double>>;

struct Line {
    std::string name;
    Points points; ///< in the order of x
    int color = 0; ///< 0 to 5
    bool dashed = false;
    bool filled = false; ///< down to 0
};

/// Shaded from one moment to another, with a name: a phase, a fault.
struct Window {
    std::string name;
    double from = 0, to = 0;
    bool fault = false;
};

struct Chart {
    std::string title;
    std::string unit; ///< behind the numbers of the y axis
    std::vector<Line> lines;
    std::vector<Window> windows;
    double from = 0, to = 0; ///< of the x axis
    bool log_y = false;
    bool percentiles = false; ///< x is 1 / (1 - p), logarithmic
    bool stacked = false;
    std::function<std::string(double)> format_y;
};

/// One <svg> that is as wide as where it stands.
std::string chart(const Chart &chart);

/// What is done of a whole, as wide as where it stands; `most` is the longest of the bars below each other.
std::string share_bar(double done, double whole, double most);

/// A value against its limit, as a small bar; red when it does not hold.
std::string limit_bar(double value, double limit, bool holds);

/// Of text between tags and in attributes.
std::string escaped(const std::string &text);

} // namespace fairq::driver::report::svg
