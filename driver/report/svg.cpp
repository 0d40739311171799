// svg.cpp: see svg.hpp.
#include "report/svg.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include <fmt/format.h>

#include "report/summary.hpp"
#include "text.hpp"

namespace fairq::driver::report::svg {
namespace {

constexpr double kWidth = 720, kHeight = 240, kTop = 16, kBottom = 28;
constexpr int kAxis = 11; ///< of letters
constexpr double kLowestLog = 0.001;

// Paul Tol's bright colours: told apart by who sees fewer colours. Lines differ in their dashes as well.
constexpr std::array<const char *, 6> kColors{"#4477aa", "#ee6677", "#228833",
                                              "#aa7711", "#66ccee", "#aa3377"};

struct Scale {
    double from = 0, to = 1, begin = 0, end = 1;
    bool log = false;

    double place(double value) const {
        const auto bent = [this](double x) { return log ? std::log10(std::max(x, kLowestLog)) : x; };
        const double width = bent(to) - bent(from);
        const double share = width > 0 ? (bent(value) - bent(from)) / width : 0;
        return begin + std::clamp(share, 0.0, 1.0) * (end - begin);
    }
};

/// 1, 2 or 5 times a power of ten: at most `most` steps up to there.
double step_for(double range, int most) {
    if (range <= 0)
        return 1;
    const double rough = range / most;
    const double power = std::pow(10, std::floor(std::log10(rough)));
    for (const double factor : {1.0, 2.0, 5.0})
        if (factor * power >= rough)
            return factor * power;
    return 10 * power;
}

std::vector<double> marks(const Scale &scale, int most) {
    std::vector<double> found;
    if (scale.log) {
        for (double value = std::pow(10, std::ceil(std::log10(scale.from) - 1e-9));
             value <= scale.to * 1.0001; value *= 10)
            found.push_back(value);
        return found;
    }
    const double step = step_for(scale.to - scale.from, most);
    for (double value = std::ceil(scale.from / step) * step; value <= scale.to + step / 1000; value += step)
        found.push_back(value);
    return found;
}

std::string text_at(double x, double y, const char *anchor, const std::string &text, int size = kAxis) {
    return fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\" font-size=\"{}\" fill=\"#555\" "
                       "class=\"{}\" font-family=\"system-ui, sans-serif\">{}</text>\n",
                       x, y, anchor, size, size < kAxis ? "axis name" : "axis", escaped(text));
}

double highest(const Chart &chart) {
    double most = 0;
    for (const Line &line : chart.lines)
        for (const auto &point : line.points)
            most = std::max(most, point.second);
    return most;
}

double lowest_above_0(const Chart &chart) {
    double least = 0;
    for (const Line &line : chart.lines)
        for (const auto &point : line.points)
            if (point.second > 0 && (least == 0 || point.second < least))
                least = point.second;
    return least == 0 ? kLowestLog : std::max(kLowestLog, least);
}

Scale y_scale(const Chart &chart) {
    Scale scale{0, 1, kHeight - kBottom, kTop, chart.log_y};
    const double most = highest(chart);
    if (chart.log_y) {
        scale.from = std::pow(10, std::floor(std::log10(lowest_above_0(chart))));
        scale.to = std::pow(10, std::ceil(std::log10(std::max(most, scale.from * 1.01))));
        return scale;
    }
    const double step = step_for(most, 4);
    scale.to = most > 0 ? std::ceil(most / step) * step : 1;
    return scale;
}

Scale x_scale(const Chart &chart) {
    return {chart.from, std::max(chart.to, chart.from + 1e-9), kLeft, kRight, chart.percentiles};
}

std::string second_text(double seconds) {
    return fmt::format("{}s", format_short(seconds));
}

/// 1 / (1 - p) as people say it: 10 is p90.
std::string percentile_text(double inverse) {
    return inverse <= 1 ? "p0" : "p" + format_number(std::round((1 - 1 / inverse) * 100 * 10000) / 10000);
}

std::string grid(const Chart &chart, const Scale &x, const Scale &y) {
    std::string out;
    for (const double value : marks(y, 4)) {
        const double at = y.place(value);
        out += fmt::format("<line x1=\"{:.1f}\" x2=\"{:.1f}\" y1=\"{:.1f}\" y2=\"{:.1f}\" stroke=\"#ddd\" "
                           "class=\"grid\"/>\n",
                           kLeft, kRight, at, at);
        out += text_at(kLeft - 6, at + 4, "end",
                       (chart.format_y ? chart.format_y(value) : format_short(value)) + chart.unit);
    }
    for (const double value : marks(x, 8)) {
        const double at = x.place(value);
        if (at < kRight - 10 || value == 0)
            out += text_at(at, kHeight - 10, "middle",
                           chart.percentiles ? percentile_text(value) : second_text(value));
    }
    return out;
}

std::string windows(const Chart &chart, const Scale &x) {
    std::string out;
    double free_from = kLeft;
    bool dark = false;
    for (const Window &window : chart.windows) {
        const double from = x.place(window.from), to = std::max(x.place(window.to), from + 2);
        const bool shaded = window.fault || dark; // every other phase, from the second on
        if (!window.fault)
            dark = !dark;
        if (shaded)
            out += fmt::format(
                "<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\" fill=\"{}\" "
                "fill-opacity=\"{}\" class=\"{}\"><title>{}</title></rect>\n",
                from, kTop, to - from, kHeight - kBottom - kTop, window.fault ? "#ee6677" : "#999999",
                window.fault ? "0.18" : "0.10", window.fault ? "fault" : "phase", escaped(window.name));
        const double text_width = 6.2 * static_cast<double>(columns_of(printable(window.name)));
        if (!window.fault && from >= free_from - 1 && from + text_width < kWidth) {
            out += text_at(from + 3, kTop - 4, "start", window.name, 10);
            free_from = from + text_width + 6;
        }
    }
    return out;
}

std::string path_of(const Line &line, const Scale &x, const Scale &y) {
    std::string path;
    for (const auto &[at, value] : line.points)
        path += fmt::format("{}{:.1f},{:.1f}", path.empty() ? "M" : "L", x.place(at), y.place(value));
    return path;
}

std::string drawn(const Line &line, const Scale &x, const Scale &y) {
    if (line.points.empty())
        return "";
    const auto color = static_cast<std::size_t>(line.color) % kColors.size();
    const std::string path = path_of(line, x, y);
    std::string out;
    if (line.filled)
        out += fmt::format("<path d=\"{}L{:.1f},{:.1f}L{:.1f},{:.1f}Z\" fill=\"{}\" fill-opacity=\"0.18\" "
                           "class=\"f{}\"/>\n",
                           path, x.place(line.points.back().first), y.place(y.from),
                           x.place(line.points.front().first), y.place(y.from), kColors[color], color);
    if (line.points.size() == 1)
        return out +
               fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"2.5\" fill=\"{}\" class=\"f{}\"/>\n",
                           x.place(line.points[0].first), y.place(line.points[0].second), kColors[color],
                           color);
    return out +
           fmt::format("<path d=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"1.6\"{} class=\"s{}\">"
                       "<title>{}</title></path>\n",
                       path, kColors[color], line.dashed ? " stroke-dasharray=\"6 3\"" : "", color,
                       escaped(line.name));
}

/// Each line on top of those before it; drawn from the last to the first, so that the lower ones cover.
std::vector<Line> on_top_of_each_other(std::vector<Line> lines) {
    for (std::size_t i = 1; i < lines.size(); ++i)
        for (std::size_t p = 0; p < lines[i].points.size() && p < lines[i - 1].points.size(); ++p)
            lines[i].points[p].second += lines[i - 1].points[p].second;
    return lines;
}

std::string described(const Chart &chart) {
    std::string text = chart.title;
    for (const Line &line : chart.lines)
        text += fmt::format("{}{}", &line == chart.lines.data() ? ": " : ", ", line.name);
    return text;
}

} // namespace

std::string escaped(const std::string &text) {
    std::string out;
    for (const char c : printable(text))
        switch (c) {
        case '<':
            out += "&lt;";
            break;
        case '>':
            out += "&gt;";
            break;
        case '&':
            out += "&amp;";
            break;
        case '"':
            out += "&quot;";
            break;
        case '\'':
            out += "&#39;";
            break;
        default:
            out += c;
        }
    return out;
}

std::string chart(const Chart &source) {
    Chart chart = source;
    if (chart.stacked)
        chart.lines = on_top_of_each_other(chart.lines);
    const Scale x = x_scale(chart), y = y_scale(chart);
    std::string out =
        fmt::format("<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {}\" width=\"100%\" "
                    "role=\"img\" aria-label=\"{}\" class=\"chart\"{} data-from=\"{}\" data-to=\"{}\">\n",
                    kWidth, kHeight, escaped(described(source)), chart.percentiles ? "" : " data-time=\"\"",
                    chart.from, chart.to);
    out += windows(chart, x) + grid(chart, x, y);
    for (auto line = chart.lines.rbegin(); line != chart.lines.rend(); ++line)
        out += drawn(*line, x, y);
    return out + "</svg>\n";
}

std::string share_bar(double done, double whole, double most) {
    const double scale = most > 0 ? 100 / most : 0;
    return fmt::format(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 100 10\" width=\"100%\" height=\"10\" "
        "preserveAspectRatio=\"none\" role=\"img\" aria-label=\"{0} of {1}\"><rect x=\"0\" y=\"1\" "
        "width=\"{2:.2f}\" height=\"8\" fill=\"#ddd\" class=\"grid-f\"/><rect x=\"0\" y=\"1\" "
        "width=\"{3:.2f}\" height=\"8\" fill=\"{4}\" class=\"f0\"/></svg>",
        format_short(done), format_short(whole), whole * scale, done * scale, kColors[0]);
}

std::string limit_bar(double value, double limit, bool holds) {
    constexpr double kLong = 120;
    const double most = std::max({std::abs(value), std::abs(limit), 1e-9}) * 1.15;
    const double at = kLong * std::clamp(std::abs(limit) / most, 0.0, 1.0);
    return fmt::format(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0} 12\" width=\"{0}\" height=\"12\" "
        "role=\"img\" aria-label=\"{1} against {2}\"><rect x=\"0\" y=\"3\" width=\"{3:.1f}\" "
        "height=\"6\" fill=\"{4}\" class=\"{5}\"/><line x1=\"{6:.1f}\" x2=\"{6:.1f}\" y1=\"0\" y2=\"12\" "
        "stroke=\"#333\" stroke-width=\"2\" class=\"mark\"/></svg>",
        kLong, format_short(value), format_short(limit), kLong * std::clamp(std::abs(value) / most, 0.0, 1.0),
        holds ? "#228833" : "#cc3311", holds ? "good-f" : "bad-f", at);
}

} // namespace fairq::driver::report::svg
