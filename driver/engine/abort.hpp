// abort.hpp: gates that end a run early, judged over what has been measured so far.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "actors/actor.hpp"
#include "engine/result.hpp"

namespace fairq::driver::engine {

/// The first gate with abort_on_fail that does not hold by now, if there is one. `phase` has what is over, `actors` who
/// still act.
std::optional<judge::GateResult> failed_early(const plan::Plan &plan, PhaseResult phase,
                                              const std::vector<std::unique_ptr<actors::Actor>> &actors,
                                              const judge::Baseline *baseline);

} // namespace fairq::driver::engine
