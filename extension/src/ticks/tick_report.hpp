// What a tick tells: its row of campaign_audit_log, which is also the summary that its caller gets, and the load test's
// totals. If handlers still run at that moment, a second report tells what has become of them, and the next tick's row
// takes it over.
#pragma once

#include "queue/queue.hpp"
#include "tables/live_table.hpp"
#include "ticks/tick_segment.hpp"

namespace fairq::ticks {

class TickReport {
public:
    TickReport(TickSegment &tick, const queue::Claim &claim) : tick_(tick), claim_(claim) {}

    // Both in a transaction, with the rights of the extension's owner.
    // earlier_handlers: how many of those that earlier ticks have left still run. errors: of housekeeping and heartbeats.
    // Fills in the segment's summary.
    void write(int64 started, int earlier_handlers, const std::vector<std::string> &errors);
    void write_late();

private:
    struct Sums {
        queue::Ids claimed, completed, failed;
        explicit Sums(size_t size) : claimed(size), completed(size), failed(size) {}
        int64 active() const;
    };

    bool tells(uint32 job, bool load_test_only) const;
    void add(Sums &to, size_t at, uint32 job) const;
    Sums by_worker(bool load_test_only) const;
    Sums by_tenant(bool load_test_only) const;
    bool is_load_test() const;
    void add_load_test_totals() const;
    std::string write_row(int64 ms, int earlier_handlers, const std::vector<std::string> &errors) const;

    TickSegment &tick_;
    const queue::Claim &claim_;
    std::vector<JobResult> results_; // that this report tells
    std::vector<JobResult> told_;    // that the report before has told
};

} // namespace fairq::ticks
