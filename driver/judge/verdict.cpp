// verdict.cpp: see verdict.hpp. The numbers: 1 and 2 are Jepsen's, 99, 104 and 105 are k6's.
#include "judge/verdict.hpp"

#include <algorithm>
#include <set>

#include <fmt/format.h>

namespace fairq::driver::judge {
namespace {

/// Jobs that are missing or unfinished may still turn up; these may not.
bool cannot_be_undone(const GateResult &result) {
    static const std::set<std::string> kFinal{"duplicated", "unexpected", "outbox_duplicates",
                                              "tick_tenant_claimed"};
    return result.verdict == Verdict::failed && result.gate.gate_class == measure::GateClass::invariant &&
           kFinal.count(result.gate.operands[0].metric) != 0;
}

} // namespace

int exit_code(Outcome outcome) {
    switch (outcome) {
    case Outcome::pass:
        return 0;
    case Outcome::broken:
        return 1;
    case Outcome::fail:
        return 99;
    case Outcome::inconclusive:
        return 2;
    case Outcome::usage:
        return 104;
    case Outcome::setup:
        return 3;
    case Outcome::aborted:
        return 105;
    case Outcome::unwritten:
        return 106;
    }
    return 1;
}

std::string outcome_word(Outcome outcome) {
    switch (outcome) {
    case Outcome::pass:
        return "PASS";
    case Outcome::broken:
        return "BROKEN";
    case Outcome::fail:
        return "FAIL";
    case Outcome::inconclusive:
        return "INCONCLUSIVE";
    case Outcome::usage:
        return "USAGE";
    case Outcome::setup:
        return "SETUP";
    case Outcome::aborted:
        return "ABORTED";
    case Outcome::unwritten:
        return "UNWRITTEN";
    }
    return "BROKEN";
}

Outcome overall(const std::vector<GateResult> &results, bool interrupted) {
    const auto any = [&](auto matches) { return std::any_of(results.begin(), results.end(), matches); };
    const auto failed = [](measure::GateClass gate_class) {
        return [gate_class](const GateResult &r) {
            return r.verdict == Verdict::failed && (r.gate.gate_class == measure::GateClass::invariant) ==
                                                       (gate_class == measure::GateClass::invariant);
        };
    };
    if (any(failed(measure::GateClass::invariant)))
        return Outcome::broken;
    if (any(failed(measure::GateClass::threshold)))
        return Outcome::fail;
    if (any([](const GateResult &r) { return r.verdict == Verdict::inconclusive; }))
        return Outcome::inconclusive;
    return interrupted ? Outcome::aborted : Outcome::pass;
}

void skip_unproven(std::vector<GateResult> &results) {
    for (GateResult &result : results)
        if (!cannot_be_undone(result)) {
            result.verdict = Verdict::skipped;
            result.note = "the run was stopped";
        }
}

Tally tally(const std::vector<GateResult> &results) {
    Tally tally;
    for (const GateResult &result : results) {
        tally.passed += result.verdict == Verdict::passed ? 1 : 0;
        tally.failed += result.verdict == Verdict::failed || result.verdict == Verdict::inconclusive ? 1 : 0;
        tally.inconclusive += result.verdict == Verdict::inconclusive ? 1 : 0;
        tally.skipped += result.verdict == Verdict::skipped ? 1 : 0;
    }
    return tally;
}

std::string last_line(const Tally &tally) {
    const std::string line = fmt::format("{} passed, {} failed", tally.passed, tally.failed);
    return tally.skipped == 0 ? line : line + fmt::format(", {} skipped", tally.skipped);
}

} // namespace fairq::driver::judge
