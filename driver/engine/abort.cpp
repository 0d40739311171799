// abort.cpp: see abort.hpp. The account of the jobs is taken at the end of a phase: a gate on it has no samples before,
// and ends nothing.
#include "engine/abort.hpp"

#include <algorithm>

namespace fairq::driver::engine {

std::optional<judge::GateResult> failed_early(const plan::Plan &plan, PhaseResult phase,
                                              const std::vector<std::unique_ptr<actors::Actor>> &actors,
                                              const judge::Baseline *baseline) {
    const auto due = [&](const judge::Gate &gate) {
        return gate.abort_on_fail &&
               phase.wall_seconds * 1000 >= static_cast<double>(gate.delay_abort.count());
    };
    if (std::none_of(plan.gates.begin(), plan.gates.end(), due))
        return std::nullopt;
    for (const auto &actor : actors) {
        phase.figures.push_back(actor->so_far());
        for (const plan::Phase &planned : plan.phases)
            if (planned.name == phase.name)
                phase.figures.back().tags = tags_of(planned, phase.figures.back().actor);
        phase.figures.back().planned = 0; // whether all was sent in time is known at the end
    }
    measure::Samples samples;
    add_samples(samples, phase);
    for (const judge::Gate &gate : plan.gates) {
        if (!due(gate))
            continue;
        judge::GateResult result = judge::judge(gate, samples, baseline);
        if (result.verdict == judge::Verdict::failed)
            return result;
    }
    return std::nullopt;
}

} // namespace fairq::driver::engine
