// fault_controls.cpp: every kind of fault, once as it is, which the queue has to bear, and once going through the motions:
// then the run proves nothing, and says so.
#include <fmt/format.h>

#include "selftest/selftest.hpp"

namespace fairq::driver::selftest {

std::vector<Control> fault_controls() {
    const std::string limits = "timeout = \"90s\"\nat_rest = \"30s\"\n";
    const std::string sent =
        limits + "enqueue = { rate = \"50/s\", duration = \"1s\", tenants = 2, work_ms = 20 }\n";
    // Nobody can send at a rate to a server that is away: that run would prove nothing.
    const std::string there = limits + "seed = { jobs = 400, tenants = 2 }\n";
    const std::string threads = "workers = { kind = \"external\", workers = 4, batch = 2 }\n";
    const std::string processes =
        "workers = { kind = \"external\", process = true, workers = 3, batch = 2 }\n";
    const struct {
        const char *kind, *more;
        const std::string &load, &workers;
    } faults[] = {{"cut-session", "of = \"worker\", ", sent, threads},
                  {"stop-fast", "", there, threads},
                  {"stop-immediate", "", there, threads},
                  {"kill-server", "", there, threads},
                  {"kill-worker", "", sent, processes},
                  {"freeze-worker", "lasts = \"3s\", ", sent, processes},
                  {"crash-worker", "at = \"claimed\", ", sent, processes},
                  {"crash-worker", "at = \"mid-work\", ", sent, processes},
                  {"crash-worker", "at = \"before-complete\", ", sent, processes},
                  {"crash-worker", "at = \"completed\", ", sent, processes},
                  {"crash-worker", "at = \"before-claim\", ", sent, processes}};
    std::vector<Control> controls;
    for (const auto &[kind, more, load, workers] : faults) {
        const std::string phase =
            load + workers + fmt::format("faults = {{ kind = \"{}\", {}first = \"300ms\" }}\n", kind, more);
        const std::string name = fmt::format("{} {}", kind, more);
        controls.push_back(
            {name, "it happens, and nothing is lost", phase, "", {}, {}, judge::Outcome::pass});
        if (std::string(more).find("at = ") == std::string::npos ||
            std::string(more).find("claimed") != std::string::npos)
            controls.push_back({name,
                                "it does not happen",
                                phase,
                                "",
                                {},
                                {"faults_fired_ratio{phase:p}"},
                                judge::Outcome::inconclusive,
                                true});
    }
    return controls;
}

} // namespace fairq::driver::selftest
