// What the limits of a tenant are judged by, read below SQL. A claim that has just got the tenant's lock has to
// see all that the lock's last holder did: it reads with a new snapshot each time. A claim without the lock
// need not pay for that.
#pragma once

#include "pg/index_scan.hpp"

namespace fairq::tables {

// Use: construct, ask, finish. A table is opened by the first question that needs it.
class LimitLookups {
public:
    // recent: a snapshot that these lookups have taken before will do.
    enum class Freshness { latest, recent };
    explicit LimitLookups(Oid schema) : schema_(schema) {}

    // How many jobs of the tenant are running under its cap; counts up to `most`.
    int running(std::string_view tenant, int most, Freshness freshness);
    // Whether a locked job holds the key: then its id.
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
