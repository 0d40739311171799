// system.cpp: see system.hpp.
#include "measure/system.hpp"

#include <algorithm>

namespace fairq::driver::measure {
namespace {

ProcessUse highest(const ProcessUse &a, const ProcessUse &b) {
    return {std::max(a.processes, b.processes), std::max(a.cpu_seconds, b.cpu_seconds),
            std::max(a.memory_bytes, b.memory_bytes), std::max(a.descriptors, b.descriptors)};
}

/// `later` comes after `sample`.
void put_together(SystemSample &sample, const SystemSample &later) {
    for (auto &[event, sessions] : sample.waits)
        sessions *= sample.seconds; // by time: a wait that half of the samples saw is half as long
    for (const auto &[event, sessions] : later.waits)
        sample.waits[event] += sessions * later.seconds;
    const double seconds = sample.seconds + later.seconds;
    for (auto &[event, sessions] : sample.waits)
        sessions = seconds > 0 ? sessions / seconds : sessions;
    sample.at_seconds = later.at_seconds;
    sample.seconds = seconds;
    sample.counters = later.counters;
    for (const auto member :
         {&SystemSample::locks_waited_for, &SystemSample::dead_rows, &SystemSample::database_bytes,
          &SystemSample::horizon_age, &SystemSample::notification_queue, &SystemSample::connections})
        sample.*member = std::max(sample.*member, later.*member);
    for (const auto member : {&SystemSample::server, &SystemSample::driver, &SystemSample::workers})
        sample.*member = highest(sample.*member, later.*member);
    sample.sees_server = sample.sees_server || later.sees_server;
}

} // namespace

ProcessUse &ProcessUse::operator+=(const ProcessUse &other) {
    processes += other.processes;
    cpu_seconds += other.cpu_seconds;
    memory_bytes += other.memory_bytes;
    descriptors += other.descriptors;
    return *this;
}

void SystemSamples::add(SystemSample sample) {
    ++taken_;
    if (!samples_.empty() && pending_ < run_) {
        put_together(samples_.back(), sample);
        ++pending_;
        return;
    }
    if (samples_.size() >= most_)
        thin();
    samples_.push_back(std::move(sample));
    pending_ = 1;
}

void SystemSamples::thin() {
    std::vector<SystemSample> fewer;
    for (std::size_t i = 0; i < samples_.size(); i += 2) {
        fewer.push_back(std::move(samples_[i]));
        if (i + 1 < samples_.size())
            put_together(fewer.back(), samples_[i + 1]);
    }
    samples_ = std::move(fewer);
    run_ *= 2;
}

} // namespace fairq::driver::measure
