// baseline.cpp: see baseline.hpp.
#include "cli/baseline.hpp"

#include <fstream>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "errors.hpp"

namespace fairq::driver::cli {

judge::Baseline read_baseline(const std::string &path, const std::string &plan) {
    using nlohmann::json;
    std::ifstream file(path);
    if (!file)
        throw UsageError(fmt::format("--baseline {}: cannot read it", path));
    const json summary = json::parse(file, nullptr, false);
    try {
        if (const auto of = summary.at("metadata").at("plan").get<std::string>(); of != plan)
            throw UsageError(fmt::format("--baseline {}: it is of the plan {}, not of {}", path, of, plan));
        judge::Baseline baseline;
        for (const json &threshold : summary.at("thresholds"))
            if (!threshold.at("value").is_null())
                baseline[judge::baseline_key(threshold.at("metric").get<std::string>(),
                                             threshold.at("expr").get<std::string>())] =
                    threshold.at("value").get<double>();
        return baseline;
    } catch (const json::exception &error) {
        throw UsageError(
            fmt::format("--baseline {}: it is no summary that --json wrote: {}", path, error.what()));
    } catch (const judge::GateError &error) {
        throw UsageError(fmt::format("--baseline {}: {}", path, error.what()));
    }
}

} // namespace fairq::driver::cli
