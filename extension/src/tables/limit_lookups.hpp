// What a claim compares with a tenant's limits (running jobs, key holders, the rate), read below SQL. A claim that has
// just got the tenant's lock has to see all that the transaction before it did under the lock, so it takes a new
// snapshot for each lookup. A claim without the lock need not pay for that.
#pragma once

#include "pg/index_scan.hpp"

namespace fairq::tables {

// Use: construct, ask, finish. A table is opened by the first question that needs it.
class LimitLookups {
public:
    // recent: a snapshot that an earlier lookup of this object has taken is good enough.
    enum class Freshness { latest, recent };
    explicit LimitLookups(Oid schema) : schema_(schema) {}

    // How many running jobs of the tenant count for its cap; the lookup stops at `most`.
    int running(std::string_view tenant, int most, Freshness freshness);
    // The id of the locked job that holds the key; none if there is no such job.
    std::optional<int64> key_holder(std::string_view tenant, std::string_view key);
    // When the tenant's next claim is due by its rate (GCRA's arrival time); none: never claimed.
    std::optional<TimestampTz> claim_due_at(std::string_view tenant, Freshness freshness = Freshness::latest);
    void finish();

private:
    using Lookup = std::optional<pg::IndexScan>;
    void open(Lookup &lookup, const char *table, const char *index, int conditions,
              Freshness freshness) const;

    Oid schema_;
    Lookup running_, held_, rates_;
};

} // namespace fairq::tables
