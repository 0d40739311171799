// tenant_limits below SQL: one tenant's row by one index descent, without planning or an executor, because a claim
// may visit a thousand tenants.
#pragma once

#include "pg/index_scan.hpp"

namespace fairq::tables {

// A row of tenant_limits. An empty optional stands for NULL: no limit.
struct LimitsRow {
    int32 weight;
    std::optional<int32> max_concurrency;
    std::optional<double> rate_per_second;
    std::optional<int32> burst;
    std::optional<int64> max_pending;
    bool paused;
    std::optional<double> enqueue_rate_per_second;
    std::optional<int32> enqueue_burst;
    bool cap_pending; // whether the column of that name is not NULL
};

// Reads the table by one of its indexes, and sees the rows of this moment, whatever the transaction's isolation
// level. Use: construct, find or any as often as needed, finish.
class LimitsTable {
public:
    LimitsTable(Oid schema, const char *index);
    std::optional<LimitsRow> find(std::string_view tenant);
    bool any(); // whether the index leads to any row
    void finish() { scan_.close(); }

private:
    pg::IndexScan scan_;
};

} // namespace fairq::tables
