// list.cpp: fairq list and fairq check: what there is, and what would be done. No server is asked.
#include <fmt/format.h>

#include "cli/output.hpp"
#include "cli/verbs.hpp"
#include "errors.hpp"
#include "report/describe.hpp"

namespace fairq::driver::cli {

plan::Plan load_plan(const Options &options) {
    plan::Plan plan = read_plan(plan::find_plan(options.plan), options.choice);
    for (const auto &[metric, expression] : options.thresholds) {
        try {
            judge::Gate gate = judge::parse_gate(metric, expression);
            check_gate(plan, gate);
            gate.id = "OPTION";
            gate.title = metric;
            plan.gates.push_back(gate);
        } catch (const judge::GateError &error) {
            throw UsageError(fmt::format("--threshold {}:{}: {}", metric, expression, error.what()));
        }
    }
    return plan;
}

int list(const Options &) {
    std::string text;
    for (const std::string &path : plan::all_plans())
        text += report::summarize_plan(plan::read_plan(path, {}));
    return exit_code(with_output(judge::Outcome::pass, print(stdout, text)));
}

int check(const Options &options) {
    return exit_code(
        with_output(judge::Outcome::pass, print(stdout, report::describe_plan(load_plan(options)))));
}

} // namespace fairq::driver::cli
