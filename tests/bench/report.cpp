// report.cpp: see report.hpp.
#include "report.hpp"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <stdexcept>

#include <fmt/format.h>

namespace fairq::bench {
namespace {

std::string cell(const Fields &value) {
    if (value.is_string())
        return value.get<std::string>();
    if (value.is_null())
        return "";
    if (value.is_object()) {
        const int digits = value["digits"].get<int>();
        const double least = value["least"].get<double>(), most = value["most"].get<double>();
        const std::string median = fmt::format("{:.{}f}", value["median"].get<double>(), digits);
        return least == most ? median
                             : fmt::format("{} [{:.{}f}-{:.{}f}]", median, least, digits, most, digits);
    }
    if (!value.is_number_float())
        return value.dump();
    const double number = value.get<double>();
    return fmt::format("{:.{}f}", number, std::abs(number) >= 100 ? 0 : std::abs(number) >= 10 ? 1 : 3);
}

} // namespace

Fields figure(const Samples &samples, int digits) {
    if (samples.empty())
        return nullptr;
    return {{"median", samples.median()},
            {"least", samples.least()},
            {"most", samples.most()},
            {"digits", digits}};
}

Report::Report(Fields about, bool judge) : judge_(judge) {
    for (const auto &[name, value] : about.items())
        fmt::print("{}: {}\n", name, cell(value));
    document_["about"] = std::move(about);
    document_["tables"] = Fields::object();
    document_["checks"] = Fields::array();
}

void Report::table(const std::string &name, const std::string &note, const std::vector<Fields> &rows) {
    std::vector<std::vector<std::string>> lines(1);
    for (const auto &column : rows.front().items())
        lines[0].push_back(column.key());
    for (const Fields &row : rows) {
        lines.emplace_back();
        for (const auto &column : row.items())
            lines.back().push_back(cell(column.value()));
    }
    std::vector<std::size_t> widths(lines[0].size(), 0);
    for (const auto &line : lines)
        for (std::size_t i = 0; i < line.size(); ++i)
            widths[i] = std::max(widths[i], line[i].size());
    fmt::print("\n{}{}{}\n", name, note.empty() ? "" : ": ", note);
    for (const auto &line : lines) {
        for (std::size_t i = 0; i < line.size(); ++i)
            fmt::print(i == 0 ? "  {:<{}}" : "  {:>{}}", line[i], widths[i]);
        fmt::print("\n");
    }
    std::fflush(stdout);
    document_["tables"][name] = rows;
}

std::string Report::target(const std::string &what, double found, const Bound &bound) {
    if (!judge_)
        return "";
    const bool met = bound.at_least ? found >= bound.value : found <= bound.value;
    const std::string wanted = fmt::format("{} {}", bound.at_least ? ">=" : "<=", bound.value);
    targets_.push_back({{"what", what},
                        {"target", wanted},
                        {"found", fmt::format("{:.3g}", found)},
                        {"", met ? "met" : "MISSED"}});
    return wanted + (met ? " met" : " MISSED");
}

void Report::print_targets() const {
    if (targets_.empty())
        return;
    fmt::print("\ntargets\n");
    for (const Fields &line : targets_)
        fmt::print("  {:<7}{:>8}  {:>8}  {}\n", cell(line[""]), cell(line["target"]), cell(line["found"]),
                   cell(line["what"]));
}

void Report::can_fail(const std::string &name, bool holds, const std::string &found) {
    check("can fail: " + name, !holds, found);
}

void Report::check(const std::string &name, bool holds, const std::string &found) {
    fmt::print("{} - {}: {}\n", holds ? "ok" : "not ok", name, found);
    (holds ? passed_ : failed_) += 1;
    document_["checks"].push_back({{"name", name}, {"holds", holds}, {"found", found}});
}

void Report::write(const std::string &file) const {
    Fields document = document_;
    document["targets"] = targets_;
    std::ofstream out(file);
    out << document.dump(2) << "\n";
    if (!out.flush())
        throw std::runtime_error("cannot write " + file);
}

} // namespace fairq::bench
