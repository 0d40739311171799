// report.hpp: the two formats that are asked for most, straight from a run.
#pragma once

#include "report/describe.hpp"
#include "report/json.hpp"
#include "report/terminal.hpp"

namespace fairq::driver::report {

inline std::string text_report(const engine::RunResult &run, const TextStyle &style) {
    return text_report(summarize(run), style);
}

inline std::string json_report(const engine::RunResult &run) {
    return json_report(summarize(run));
}

} // namespace fairq::driver::report
