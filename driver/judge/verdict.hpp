// verdict.hpp: from gates to one verdict and one exit code. Pure; the precedence is
// written here and nowhere else.
#pragma once

#include <string>
#include <vector>

#include "judge/gates.hpp"

namespace fairq::driver::judge {

/// `unwritten`: the run passed, but its results could not be written.
enum class Outcome { pass, broken, fail, inconclusive, usage, setup, aborted, unwritten };

int exit_code(Outcome outcome);

/// PASS, BROKEN, FAIL, …
std::string outcome_word(Outcome outcome);

/// The worst of the gates: broken, then fail, then inconclusive. An interrupted run is aborted, unless it has
/// already seen something that no further draining can undo.
Outcome overall(const std::vector<GateResult> &results, bool interrupted);

/// For an interrupted run: keeps what is proven broken, and skips every other gate.
void skip_unproven(std::vector<GateResult> &results);

struct Tally {
    int passed = 0;
    int failed = 0; ///< inconclusive counts as failed
    int inconclusive = 0;
    int skipped = 0;
};

Tally tally(const std::vector<GateResult> &results);

/// "9 passed, 0 failed", and ", 2 skipped" when there are some: the last line of every run.
std::string last_line(const Tally &tally);

} // namespace fairq::driver::judge
