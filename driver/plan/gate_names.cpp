// gate_names.cpp: whether a plan has what a gate names.
#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "plan/actor_reader.hpp"
#include "text.hpp"

namespace fairq::driver::plan {
namespace {

using Names = std::vector<std::string>;

void check(const std::string &name, const std::set<std::string> &known, const std::string &what,
           const std::string &place = "") {
    if (!name.empty() && known.count(name) == 0)
        throw judge::GateError(fmt::format("there is no {} \"{}\"{}{}", what, name, place,
                                           did_you_mean(name, Names(known.begin(), known.end()))));
}

void check_ref(const Plan &plan, const judge::MetricRef &ref) {
    std::set<std::string> phases, actors, tags{"phase", "actor"};
    std::map<std::string, std::set<std::string>> values;
    for (const Phase &phase : plan.phases) {
        phases.insert(phase.name);
        if (!ref.phase.empty() && phase.name != ref.phase)
            continue;
        for (const NamedActor &actor : named_actors(phase)) {
            actors.insert(actor.name);
            for (const auto &[tag, value] : actor.tags) {
                tags.insert(tag);
                values[tag].insert(value);
            }
        }
    }
    check(ref.phase, phases, "phase");
    const std::string place = ref.phase.empty() ? "" : " in phase " + ref.phase;
    check(ref.actor, actors, "actor", place);
    for (const auto &[tag, value] : ref.tags) {
        check(tag, tags, "tag", place);
        check(value, values[tag], "actor with " + tag, place);
    }
}

} // namespace

void check_gate(const Plan &plan, const judge::Gate &gate) {
    for (const judge::MetricRef &ref : gate.operands)
        check_ref(plan, ref);
}

measure::Tags tags_of(const Phase &phase, const std::string &actor) {
    for (const NamedActor &named : named_actors(phase))
        if (named.name == actor)
            return named.tags;
    return {};
}

} // namespace fairq::driver::plan
