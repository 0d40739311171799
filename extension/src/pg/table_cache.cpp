// Generations of tables (see table_cache.hpp). The callback runs where nothing may raise, so the array has a fixed
// size. A table that has lost its place in it gets a new generation at its next use, which costs one load.
#include "pg/table_cache.hpp"

namespace fairq::pg::table_cache {

namespace {

constexpr int kTables = 16;

struct Table {
    Oid relation;
    std::uint64_t generation;
};

// Plain data: no constructor may run when the library is loaded.
Table tables[kTables];
int next_place = 0;
std::uint64_t last_generation = 0;

// InvalidOid: any relation may have changed.
void at_invalidation(Datum, Oid relation) {
    for (Table &table : tables)
        if (OidIsValid(table.relation) && (table.relation == relation || !OidIsValid(relation)))
            table.generation = ++last_generation;
}

} // namespace

void install_callbacks() {
    CacheRegisterRelcacheCallback(at_invalidation, 0);
}

std::uint64_t generation(Oid relation) {
    // A session that already holds its locks does not process invalidations by itself.
    call([] { AcceptInvalidationMessages(); });
    for (Table const &table : tables)
        if (table.relation == relation)
            return table.generation;
    Table &table = tables[next_place++ % kTables];
    table = {relation, ++last_generation};
    return table.generation;
}

void changed(Oid relation) {
    call([&] { CacheInvalidateRelcacheByRelid(relation); });
}

Oid changed_by_trigger(FunctionCallInfo call_info) {
    return call([&] {
        if (!CALLED_AS_TRIGGER(call_info))
            elog(ERROR, "fairq_table_changed was not called by a trigger");
        auto const *const data = reinterpret_cast<TriggerData *>(call_info->context);
        CacheInvalidateRelcache(data->tg_relation);
        return RelationGetRelid(data->tg_relation);
    });
}

void push_latest_snapshot() {
    call([] { PushActiveSnapshot(GetLatestSnapshot()); });
}

void pop_snapshot() {
    call([] { PopActiveSnapshot(); });
}

} // namespace fairq::pg::table_cache
