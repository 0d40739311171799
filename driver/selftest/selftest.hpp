// selftest.hpp: negative controls: something is broken on purpose, and exactly what stands for it has to turn red. Without
// them a verdict that is green says nothing.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "fault/cluster.hpp"
#include "judge/verdict.hpp"
#include "plan/plan.hpp"

namespace fairq::driver::selftest {

struct Finding {
    std::string name; ///< the column, the kind of gate, the fault
    std::string what; ///< what was broken
    bool seen = false;
    std::string said = ""; ///< what was seen instead
};

/// A gate over samples that are sound, and over samples that are not. No server.
std::vector<Finding> gate_controls();

/// A plan that runs on a database of its own.
struct Control {
    std::string name, what;
    std::string phase;                             ///< TOML: its actors, and what breaks them
    std::string gates;                             ///< TOML: besides the standing ones
    std::vector<std::string> failed, inconclusive; ///< exactly these, by metric
    judge::Outcome outcome = judge::Outcome::pass;
    bool disarmed = false; ///< its faults go through the motions
};

std::vector<Control> ledger_controls();
std::vector<Control> fault_controls();

plan::Plan plan_of(const Control &control);

/// Settings of the cluster that controls run on.
fault::ClusterOptions cluster_options();

/// Runs it, the `number`-th of its cluster. Safe from several threads at once, but for a control that strikes the server.
Finding run_control(const Control &control, int number, fault::Cluster &cluster);

} // namespace fairq::driver::selftest
