// tenant_limits below SQL: one tenant's row by one index descent, without planning or an executor. A claim
// that visits a thousand tenants has no time for more.
#pragma once

#include "pg/values.hpp"

namespace fairq::tables {

// A row of tenant_limits. None: no limit.
struct LimitsRow {
    int32 weight;
    std::optional<int32> max_concurrency;
    std::optional<double> rate_per_second;
    std::optional<int32> burst;
    std::optional<int64> max_pending;
    bool paused;
    std::optional<double> enqueue_rate_per_second;
    std::optional<int32> enqueue_burst;
    bool cap_pending; // whether it is not NULL
};

// A look at the table by one of its indexes, with the latest snapshot, whatever the transaction's isolation
// level. Use: construct, find or any as often as needed, finish; after an error the transaction's abort
// releases what it holds.
class LimitsTable {
public:
    LimitsTable(Oid schema, const char *index); // its name
    std::optional<LimitsRow> find(std::string_view tenant);
    bool any(); // has the index an entry?
    void finish();

private:
    bool fetch(StrategyNumber strategy, RegProcedure compare, std::string_view tenant);

    Relation table_, index_;
    IndexScanDesc scan_;
    TupleTableSlot *slot_;
};

} // namespace fairq::tables
