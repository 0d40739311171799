// The status of a job, and which statuses can follow it. The order is that of the SQL enum job_status.
#pragma once

#include <array>
#include <cstddef>

namespace fairq::core {

enum class JobStatus : unsigned char {
    blocked,   // → queued when its stage is reached
    scheduled, // → queued when due
    queued,    // → locked by a claim, cancelled
    locked,    // → completed, scheduled or dead (failed), queued (released, reclaimed), cancelled
    completed, // final
    dead,      // final; → queued by a redrive
    cancelled, // final
};

constexpr std::size_t kStatuses = 7;
constexpr std::array<const char *, kStatuses> kStatusNames{"blocked",   "scheduled", "queued",   "locked",
                                                           "completed", "dead",      "cancelled"};

constexpr std::size_t index_of(JobStatus status) {
    return static_cast<std::size_t>(status);
}
constexpr const char *name_of(JobStatus status) {
    return kStatusNames[index_of(status)];
}

} // namespace fairq::core
