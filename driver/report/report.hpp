// report.hpp: a finished run as text for people and as JSON for machines, both from the same data, both pure.
// Also what `list` and `check` print.
#pragma once

#include <string>

#include "engine/result.hpp"

namespace fairq::driver::report {

struct TextStyle {
    bool color = false;
    bool symbols = false; ///< marks beside the words, never instead of them
    bool quiet = false;   ///< verdict and last line only
};

/// Verdict first, then each criterion with its value and limit, then the figures; the last line is the tally.
std::string text_report(const engine::RunResult &run, const TextStyle &style);

std::string json_report(const engine::RunResult &run);

/// The summary of a run that never started.
std::string json_failure(judge::Outcome outcome, const std::string &message);

/// The resolved plan: phases, the SQL that would run, gates.
std::string describe_plan(const plan::Plan &plan);

/// Name, description and profiles, for `list`.
std::string summarize_plan(const plan::Plan &plan);

} // namespace fairq::driver::report
