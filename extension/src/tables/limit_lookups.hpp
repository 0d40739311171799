// What the limits of a tenant are judged by, read below SQL with a snapshot of its own each time: so that
// whoever has just got the tenant's lock sees all that its last holder did. Who has no lock need not pay for
// that.
#pragma once

#include "pg/values.hpp"

namespace fairq::tables {

// Use: construct, ask, finish. Opens what it is asked for.
class Probes {
public:
    enum class Sight { latest, recent }; // recent: not older than these probes
    explicit Probes(Oid schema) : schema_(schema) {}

    // How many jobs of the tenant are running under its cap; counts up to `most`.
    int running(std::string_view tenant, int most, Sight sight);
    // Whether a locked job holds the key: then its id.
    std::optional<int64> key_holder(std::string_view tenant, std::string_view key);
    // When the tenant's next claim is due by its rate (GCRA's arrival time); none: never claimed.
    std::optional<TimestampTz> claim_due_at(std::string_view tenant, Sight sight = Sight::latest);
    void finish();

private:
    struct Probe {
        Relation table, index;
        IndexScanDesc scan;
        TupleTableSlot *slot;
    };
    Probe &open(std::optional<Probe> &probe, const char *table, const char *index, int keys);
    static void start(const Probe &probe, std::string_view tenant, std::optional<std::string_view> second,
                      Sight sight);
    static bool next(const Probe &probe);

    Oid schema_;
    std::optional<Probe> running_, held_, rates_;
};

} // namespace fairq::tables
