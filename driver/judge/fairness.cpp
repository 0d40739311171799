// fairness.cpp: see fairness.hpp.
#include "judge/fairness.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include <fmt/format.h>

#include "measure/percentile.hpp"

namespace fairq::driver::judge {

std::vector<std::string> unfair_shares(const std::map<std::string, std::int64_t> &jobs,
                                       const std::map<std::string, int> &weights, double tolerance) {
    const auto sum = [](const auto &of) {
        return std::accumulate(of.begin(), of.end(), 0.0, [](double so_far, const auto &one) {
            return so_far + static_cast<double>(one.second);
        });
    };
    std::vector<std::string> found;
    for (const auto &[tenant, weight] : weights) {
        const auto got = jobs.find(tenant);
        const double due = sum(jobs) * weight / sum(weights);
        const double has = got == jobs.end() ? 0 : static_cast<double>(got->second);
        if (std::fabs(has - due) > tolerance * due)
            found.push_back(fmt::format("{} got {} jobs of {:.1f}", tenant, has, due));
    }
    return found;
}

double jain_index(const std::map<std::string, std::int64_t> &jobs) {
    double sum = 0, squares = 0;
    for (const auto &[tenant, got] : jobs) {
        sum += static_cast<double>(got);
        squares += static_cast<double>(got) * static_cast<double>(got);
    }
    return squares == 0 ? 0 : sum * sum / (static_cast<double>(jobs.size()) * squares);
}

std::vector<std::int64_t> all_of(const Waits &waits) {
    std::vector<std::int64_t> all;
    for (const auto &[tenant, own] : waits)
        all.insert(all.end(), own.begin(), own.end());
    return all;
}

std::vector<std::string> slower_tenants(const Waits &waits, const Waits &without, double factor) {
    const double most = factor * static_cast<double>(measure::percentile(all_of(without), 99));
    std::vector<std::string> found;
    for (const auto &[tenant, own] : waits)
        if (const std::int64_t wait = measure::percentile(own, 99); static_cast<double>(wait) > most)
            found.push_back(fmt::format("{} waited {} jobs, more than {}", tenant, wait, most));
    return found;
}

std::vector<std::string> overlaps(std::vector<Span> spans) {
    std::sort(spans.begin(), spans.end(), [](const Span &a, const Span &b) { return a.from < b.from; });
    std::vector<std::string> found;
    const Span *longest = nullptr; // of those before
    for (const Span &span : spans) {
        if (longest != nullptr && span.from <= longest->to)
            found.push_back(fmt::format("jobs {} and {} ran at once", longest->job, span.job));
        if (longest == nullptr || span.to > longest->to)
            longest = &span;
    }
    return found;
}

std::vector<std::string> out_of_order(std::vector<StagedJob> jobs) {
    std::map<int, std::int64_t> last; // completion of a stage
    for (const StagedJob &job : jobs)
        last[job.stage] = std::max(last[job.stage], job.completing);
    std::int64_t so_far = 0;
    for (auto &[stage, at] : last)
        at = so_far = std::max(so_far, at);
    std::vector<std::string> found;
    for (const StagedJob &job : jobs) {
        const auto own = last.find(job.stage);
        if (own != last.begin() && job.claimed <= std::prev(own)->second)
            found.push_back(fmt::format("job {} of stage {} was claimed too soon", job.job, job.stage));
    }
    return found;
}

} // namespace fairq::driver::judge
