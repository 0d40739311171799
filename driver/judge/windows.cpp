// windows.cpp: see windows.hpp.
#include "judge/windows.hpp"

#include <algorithm>
#include <cmath>
#include <map>

namespace fairq::driver::judge {
namespace {

/// Between each two of so many: half a million slopes.
constexpr std::size_t kMostMoments = 1000;

std::vector<Moment> thinned(const std::vector<Moment> &moments) {
    if (moments.size() <= kMostMoments)
        return moments;
    std::vector<Moment> some;
    for (std::size_t i = 0; i < kMostMoments; ++i)
        some.push_back(moments[i * moments.size() / kMostMoments]);
    return some;
}

} // namespace

std::vector<Window> cut(const measure::Series &series, double seconds) {
    std::map<long long, Window> windows;
    const auto window = [&](double at) -> measure::Series & {
        const auto number = static_cast<long long>(std::floor(at / seconds));
        Window &found = windows[number];
        found.from = static_cast<double>(number) * seconds;
        found.series.metric = series.metric;
        found.series.phase = series.phase;
        found.series.actor = series.actor;
        found.series.seconds = seconds;
        return found.series;
    };
    for (std::size_t i = 0; i < series.values.size() && i < series.moments.size(); ++i) {
        measure::Series &part = window(series.moments[i]);
        part.values.push_back(series.values[i]);
        part.samples = part.values.size();
    }
    for (const measure::Slice &slice : series.slices) {
        if (slice.times.empty())
            continue;
        measure::Series &part = window(slice.from);
        if (part.times.empty())
            part.times = slice.times; // as fine as the slices are
        else
            part.times.add(slice.times);
        part.samples = static_cast<std::size_t>(part.times.count());
    }
    std::vector<Window> ordered;
    for (auto &[number, found] : windows)
        ordered.push_back(std::move(found));
    return ordered;
}

std::optional<double> steepness(const std::vector<Moment> &all) {
    const std::vector<Moment> moments = thinned(all);
    std::vector<double> slopes;
    for (std::size_t i = 0; i < moments.size(); ++i)
        for (std::size_t j = i + 1; j < moments.size(); ++j)
            if (moments[j].at != moments[i].at)
                slopes.push_back((moments[j].value - moments[i].value) / (moments[j].at - moments[i].at));
    if (slopes.empty())
        return std::nullopt;
    return measure::percentile(std::move(slopes), 50);
}

std::vector<Moment> without_warm_up(const std::vector<Moment> &moments) {
    if (moments.empty())
        return {};
    const double from = moments.front().at + (moments.back().at - moments.front().at) / 4;
    std::vector<Moment> kept;
    std::copy_if(moments.begin(), moments.end(), std::back_inserter(kept),
                 [&](const Moment &moment) { return moment.at >= from; });
    return kept;
}

} // namespace fairq::driver::judge
