// files.hpp: a summary in the formats that other programs and pages read. Pure.
#pragma once

#include <string>

#include "report/summary.hpp"

namespace fairq::driver::report {

/// JUnit XML as CI servers read it: a test case for each gate. What is inconclusive is an <error>, not a <failure>.
std::string junit_report(const Summary &summary);

/// Test Anything Protocol, version 13: a test for each gate.
std::string tap_report(const Summary &summary);

/// Every point of every phase in one table, by RFC 4180: phase, seconds, what, value.
std::string csv_report(const Summary &summary);

/// Markdown with what people ask of a load test: what ran where, what it did, how stable it was, what it cost the
/// database, and the conclusion.
std::string markdown_report(const Summary &summary);

/// Markdown for $GITHUB_STEP_SUMMARY, less than a megabyte: verdict and what does not hold, the rest folded away.
std::string github_summary(const Summary &summary);

/// A line "::error title=…::…" for each gate that does not hold: GitHub shows them beside the commit.
std::string github_annotations(const Summary &summary);

/// One page, whole by itself and without JavaScript.
std::string html_report(const Summary &summary);

} // namespace fairq::driver::report
