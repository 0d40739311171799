// json.hpp: a summary as JSON, in the shape of k6's with the measured value, the number of samples and a verdict beside
// every threshold; and back. docs/result.schema.json describes it.
#pragma once

#include <stdexcept>
#include <string>

#include "report/summary.hpp"

namespace fairq::driver::report {

/// Of the schema: the first number changes when a reader of the old one would misread the new one.
constexpr const char *kSchemaVersion = "1.1.0";

std::string json_report(const Summary &summary);

/// The result of a run that never started.
std::string json_failure(judge::Outcome outcome, const std::string &message);

struct ResultError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

/// Throws ResultError with one sentence when the text is no result, or of a run that never started.
Summary read_json(const std::string &text);

} // namespace fairq::driver::report
