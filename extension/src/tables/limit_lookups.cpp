// Index lookups (see lookups.hpp). A snapshot costs a microsecond, a lookup two. Each is registered as long as
// rows are looked at by it: the server keeps only one latest snapshot, and whoever asks next overwrites it.
#include "tables/limit_lookups.hpp"

#include "tables/live_columns.hpp"
#include "tables/open_relation.hpp"
#include "tables/rates.hpp"

namespace fairq::tables {

LimitLookups::Lookup &LimitLookups::open(std::optional<Lookup> &lookup, const char *table, const char *index,
                                         int keys) {
    if (lookup)
        return *lookup;
    Lookup opened{};
    opened.table = open_table(schema_, table, AccessShareLock);
    opened.index = open_index(schema_, index, AccessShareLock);
    pg::call([&] {
        opened.slot = table_slot_create(opened.table, nullptr);
        opened.scan = pg::compat::index_beginscan(opened.table, opened.index,
                                                  RegisterSnapshot(GetLatestSnapshot()), keys);
    });
    lookup = opened;
    return *lookup;
}

void LimitLookups::start(const Lookup &lookup, std::string_view tenant,
                         std::optional<std::string_view> second, Freshness freshness) {
    Datum const values[] = {pg::of(tenant).datum, second ? pg::of(*second).datum : 0};
    pg::call([&] {
        ScanKeyData keys[2];
        ScanKeyEntryInitialize(&keys[0], 0, 1, BTEqualStrategyNumber, InvalidOid, C_COLLATION_OID, F_TEXTEQ,
                               values[0]);
        if (second)
            ScanKeyEntryInitialize(&keys[1], 0, 2, BTEqualStrategyNumber, InvalidOid, C_COLLATION_OID,
                                   F_TEXTEQ, values[1]);
        if (freshness == Freshness::latest) {
            UnregisterSnapshot(lookup.scan->xs_snapshot);
            lookup.scan->xs_snapshot = RegisterSnapshot(GetLatestSnapshot());
        }
        index_rescan(lookup.scan, keys, second ? 2 : 1, nullptr, 0);
    });
}

bool LimitLookups::next(const Lookup &lookup) {
    return pg::call([&] { return index_getnext_slot(lookup.scan, ForwardScanDirection, lookup.slot); });
}

int LimitLookups::running(std::string_view tenant, int most, Freshness freshness) {
    Lookup const &lookup = open(running_, "job_live", "job_live_running", 1);
    start(lookup, tenant, std::nullopt, freshness);
    return pg::call([&] {
        int found = 0;
        while (found < most && index_getnext_slot(lookup.scan, ForwardScanDirection, lookup.slot))
            ++found;
        return found;
    });
}

std::optional<int64> LimitLookups::key_holder(std::string_view tenant, std::string_view key) {
    Lookup const &lookup = open(held_, "job_live", "job_live_held", 2);
    start(lookup, tenant, key, Freshness::latest);
    if (!next(lookup))
        return std::nullopt;
    bool null = false;
    return DatumGetInt64(pg::call([&] { return slot_getattr(lookup.slot, kId, &null); }));
}

std::optional<TimestampTz> LimitLookups::claim_due_at(std::string_view tenant, Freshness freshness) {
    Lookup const &lookup = open(rates_, "tenant_rates", "tenant_rates_pkey", 2);
    start(lookup, tenant, "claim", freshness);
    if (!next(lookup))
        return std::nullopt;
    bool null = false;
    return DatumGetTimestampTz(pg::call([&] { return slot_getattr(lookup.slot, kRateDueAt, &null); }));
}

void LimitLookups::finish() {
    for (std::optional<Lookup> *const lookup : {&running_, &held_, &rates_}) {
        if (*lookup)
            pg::call([&] {
                Snapshot const snapshot = (*lookup)->scan->xs_snapshot;
                index_endscan((*lookup)->scan);
                UnregisterSnapshot(snapshot);
                ExecDropSingleTupleTableSlot((*lookup)->slot);
                index_close((*lookup)->index, AccessShareLock);
                table_close((*lookup)->table, AccessShareLock);
            });
        lookup->reset();
    }
}

} // namespace fairq::tables
