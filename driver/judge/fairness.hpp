// fairness.hpp: was it fair, was it in order? Pure functions over what workers saw; each finding is a
// sentence, and no findings mean that the property held.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace fairq::driver::judge {

/// Tenants whose part of all jobs is off from their part of all weights by more than `tolerance` of it. A
/// tenant that got nothing has to be in `jobs` with 0.
std::vector<std::string> unfair_shares(const std::map<std::string, std::int64_t> &jobs,
                                       const std::map<std::string, int> &weights, double tolerance);

/// R. Jain's fairness index: 1 when all got the same, 1/n when one of n got everything.
double jain_index(const std::map<std::string, std::int64_t> &jobs);

using Waits = std::map<std::string, std::vector<std::int64_t>>; ///< of each tenant's jobs

std::vector<std::int64_t> all_of(const Waits &waits);

/// Tenants whose 99th percentile is more than `factor` times that of all tenants in the other run.
std::vector<std::string> slower_tenants(const Waits &waits, const Waits &without, double factor);

/// One job's time on some clock that never goes back, first and last moment included.
struct Span {
    std::int64_t job, from, to;
};

/// Pairs of jobs that ran at the same time.
std::vector<std::string> overlaps(std::vector<Span> spans);

/// Jobs that were claimed before every job of an earlier stage had been completed. Completed means asked for:
/// a job that came before that came too soon for sure.
struct StagedJob {
    std::int64_t job;
    int stage;
    std::int64_t claimed, completing;
};
std::vector<std::string> out_of_order(std::vector<StagedJob> jobs);

} // namespace fairq::driver::judge
