// verbs.hpp: what the command line asks for, one function a verb; each returns the exit code.
#pragma once

#include "cli/options.hpp"

namespace fairq::driver::cli {

int run(const Options &options);
int list(const Options &options);
int check(const Options &options);
int cleanup(const Options &options);
int report(const Options &options);
int compare(const Options &options);
int selftest(const Options &options);

/// Started by a run, not by people.
int worker(const Options &options);

/// The plan that the options name, with their thresholds. Throws UsageError.
plan::Plan load_plan(const Options &options);

} // namespace fairq::driver::cli
