// main.cpp: bench [--quick] FILE measures the server that libpq's environment names and writes FILE (JSON).
// --quick runs everything once and small. The exit code says whether all checks hold.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <iterator>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <fmt/format.h>

#include "connection.hpp"
#include "groups.hpp"
#include "measure.hpp"
#include "work.hpp"

namespace fairq::bench {

long long Size::jobs(long long full) const {
    return std::max(500LL, std::llround(static_cast<double>(full) * scale / 500) * 500);
}

namespace {

constexpr double kUsualMinutes =
    15; // enough for kFewestRounds of everything at full size, on a small machine
constexpr int kFewestRounds = 5;

Size size_of_run(bool quick) {
    if (quick)
        return {1, 1, 0.02, true};
    const char *const given = std::getenv("BENCH_MINUTES");
    const double minutes = given != nullptr ? std::atof(given) : kUsualMinutes;
    const double scale = minutes / kUsualMinutes;
    return {minutes, std::max(kFewestRounds, static_cast<int>(kFewestRounds * scale)),
            std::clamp(scale, 0.05, 1.0), false};
}

Fields about(const Size &size) {
    Connection connection("postgres");
    const auto setting = [&](const std::string &name) { return connection.run("SHOW " + name).text(); };
    Fields fields;
    const char *const machine = std::getenv("BENCH_MACHINE");
    fields["machine"] =
        machine != nullptr ? machine : fmt::format("{} processors", std::thread::hardware_concurrency());
    fields["server"] = "PostgreSQL " + setting("server_version");
    for (const char *name : {"shared_buffers", "max_wal_size", "autovacuum", "fsync", "wal_sync_method",
                             "shared_preload_libraries"})
        fields[name] = setting(name);
    fields["rounds"] = size.rounds;
    fields["scale"] = size.scale;
    return fields;
}

constexpr Group kGroups[] = {
    {"pages", "what does not depend on time: WAL, HOT updates, index entries, scans", look_at_pages},
    {"buffers", "pages that a claim reads, by queued jobs and tenants", look_at_buffers},
    {"claims", "claim + complete of 50 by connections and commit mode, beside the floors", compare_claims},
    {"peers", "beside what a user would pick instead", compare_peers},
    {"batches", "claim + complete of 500", compare_batches},
    {"singles", "claim + complete of 1", compare_singles},
    {"depth", "by jobs queued", vary_depth},
    {"tenants", "by tenants", vary_tenants},
    {"churn", "a million jobs without vacuum, and with a snapshot or a transaction that stays open", churn},
    {"restart", "the first claim after a restart of the server, with many dead entries in front", restart},
    {"analyze", "after ANALYZE at the worst moment", analyze},
    {"empty", "claims that find nothing", claim_nothing},
    {"enqueue", "against INSERT and COPY", compare_enqueue},
    {"ticks", "against external workers", measure_ticks},
    {"pickup", "from enqueue to claim, with waiting workers", measure_pickup},
    {"recovery", "after workers have died, and after a type of jobs was resumed", measure_recovery},
    {"limits", "what limits cost tenants that have them, and other tenants", measure_limits},
    {"held-back", "beside tenants that cannot run, by their number", measure_held_back}};

struct Options {
    bool quick = false;
    std::string file;
    std::vector<std::string> groups; ///< none: all
};

bool is_group(const std::string &name) {
    return std::any_of(std::begin(kGroups), std::end(kGroups),
                       [&](const Group &group) { return group.name == name; });
}

/// Nothing when it is not to be understood.
std::optional<Options> options_of(std::vector<std::string> arguments) {
    Options options;
    if (!arguments.empty() && arguments[0] == "--quick") {
        options.quick = true;
        arguments.erase(arguments.begin());
    }
    if (arguments.empty())
        return std::nullopt;
    options.file = arguments[0];
    options.groups.assign(arguments.begin() + 1, arguments.end());
    if (!std::all_of(options.groups.begin(), options.groups.end(), is_group))
        return std::nullopt;
    return options;
}

int run(const Options &options) {
    const Size size = size_of_run(options.quick);
    if (!size.quick)
        age_server();
    const Stopwatch watch;
    Report report(about(size), !size.quick);
    for (const Group &group : kGroups) {
        const bool wanted =
            std::find(options.groups.begin(), options.groups.end(), group.name) != options.groups.end();
        if (!wanted && !options.groups.empty())
            continue;
        const Stopwatch own;
        group.measure(report, size);
        fmt::print("({}: {:.0f} s)\n", group.name, own.seconds());
    }
    report.print_targets();
    report.write(options.file);
    fmt::print("\n{:.0f} s\n{} passed, {} failed\n", watch.seconds(), report.passed(), report.failed());
    return report.failed() == 0 ? 0 : 1;
}

} // namespace

void print_usage() {
    fmt::print(stderr, "usage: bench [--quick] FILE [group]...; groups are\n");
    for (const Group &group : kGroups)
        fmt::print(stderr, "  {:<10}{}\n", group.name, group.about);
}

} // namespace fairq::bench

int main(int count, char **arguments) {
    const auto options = fairq::bench::options_of({arguments + 1, arguments + count});
    if (!options) {
        fairq::bench::print_usage();
        return 2;
    }
    try {
        return fairq::bench::run(*options);
    } catch (const std::exception &error) {
        std::fflush(stdout);
        std::fprintf(stderr, "bench: %s\n", error.what());
        return 2;
    }
}
