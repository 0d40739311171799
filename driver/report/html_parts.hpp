// html_parts.hpp: the charts and tables of the HTML report, before they are put into the page.
#pragma once

#include <string>
#include <vector>

#include "report/summary.hpp"
#include "report/svg.hpp"

namespace fairq::driver::report {

struct Figure {
    std::string title, svg;
    std::vector<svg::Line> keys; ///< of the legend; without points
};

struct Section {
    std::string anchor, title, text;
    std::vector<Figure> figures;
};

struct Cell {
    std::string text;
    bool number = false;
    std::string svg = {}; ///< instead of text
};

struct Table {
    std::string anchor, title, text;
    std::vector<Cell> heads;
    std::vector<std::vector<Cell>> rows;
};

std::vector<Section> html_sections(const Summary &summary);
std::vector<Table> html_tables(const Summary &summary);

} // namespace fairq::driver::report
