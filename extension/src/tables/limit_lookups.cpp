// Index probes (see probes.hpp). A snapshot costs a microsecond, a probe two. Each is registered as long as
// rows are looked at by it: the server keeps only one latest snapshot, and whoever asks next overwrites it.
#include "tables/limit_lookups.hpp"

#include "tables/live_columns.hpp"
#include "tables/rates.hpp"

namespace fairq::tables {

Probes::Probe &Probes::open(std::optional<Probe> &probe, const char *table, const char *index, int keys) {
    if (probe)
        return *probe;
    Oid const table_oid = relation_in(schema_, table), index_oid = relation_in(schema_, index);
    Probe opened{};
    pg::call([&] {
        opened.table = table_open(table_oid, AccessShareLock);
        opened.index = index_open(index_oid, AccessShareLock);
        opened.slot = table_slot_create(opened.table, nullptr);
        opened.scan =
            pg::compat::index_beginscan(opened.table, opened.index, RegisterSnapshot(GetLatestSnapshot()), keys);
    });
    probe = opened;
    return *probe;
}

void Probes::start(const Probe &probe, std::string_view tenant, std::optional<std::string_view> second,
                   Sight sight) {
    Datum const values[] = {pg::of(tenant).datum, second ? pg::of(*second).datum : 0};
    pg::call([&] {
        ScanKeyData keys[2];
        ScanKeyEntryInitialize(&keys[0], 0, 1, BTEqualStrategyNumber, InvalidOid, C_COLLATION_OID, F_TEXTEQ,
                               values[0]);
        if (second)
            ScanKeyEntryInitialize(&keys[1], 0, 2, BTEqualStrategyNumber, InvalidOid, C_COLLATION_OID,
                                   F_TEXTEQ, values[1]);
        if (sight == Sight::latest) {
            UnregisterSnapshot(probe.scan->xs_snapshot);
            probe.scan->xs_snapshot = RegisterSnapshot(GetLatestSnapshot());
        }
        index_rescan(probe.scan, keys, second ? 2 : 1, nullptr, 0);
    });
}

bool Probes::next(const Probe &probe) {
    return pg::call([&] { return index_getnext_slot(probe.scan, ForwardScanDirection, probe.slot); });
}

int Probes::running(std::string_view tenant, int most, Sight sight) {
    Probe const &probe = open(running_, "job_live", "job_live_running", 1);
    start(probe, tenant, std::nullopt, sight);
    return pg::call([&] {
        int found = 0;
        while (found < most && index_getnext_slot(probe.scan, ForwardScanDirection, probe.slot))
            ++found;
        return found;
    });
}

std::optional<int64> Probes::key_holder(std::string_view tenant, std::string_view key) {
    Probe const &probe = open(held_, "job_live", "job_live_held", 2);
    start(probe, tenant, key, Sight::latest);
    if (!next(probe))
        return std::nullopt;
    bool null = false;
    return DatumGetInt64(pg::call([&] { return slot_getattr(probe.slot, kId, &null); }));
}

std::optional<TimestampTz> Probes::claim_due_at(std::string_view tenant, Sight sight) {
    Probe const &probe = open(rates_, "tenant_rates", "tenant_rates_pkey", 2);
    start(probe, tenant, "claim", sight);
    if (!next(probe))
        return std::nullopt;
    bool null = false;
    return DatumGetTimestampTz(pg::call([&] { return slot_getattr(probe.slot, kRateDueAt, &null); }));
}

void Probes::finish() {
    for (std::optional<Probe> *const probe : {&running_, &held_, &rates_}) {
        if (*probe)
            pg::call([&] {
                Snapshot const snapshot = (*probe)->scan->xs_snapshot;
                index_endscan((*probe)->scan);
                UnregisterSnapshot(snapshot);
                ExecDropSingleTupleTableSlot((*probe)->slot);
                index_close((*probe)->index, AccessShareLock);
                table_close((*probe)->table, AccessShareLock);
            });
        probe->reset();
    }
}

} // namespace fairq::tables
