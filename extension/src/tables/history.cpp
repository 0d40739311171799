// Which partition of job_history takes which rows (see history.hpp), from the relation cache.
#include "tables/history.hpp"

#include "tables/live_columns.hpp"
#include "tables/open_relation.hpp"

namespace fairq::tables {

namespace {

constexpr AttrNumber kFinishedAt = kUpdatedAt; // the last column of job_history

// Null when it is locked in a mode that forbids reading, or gone.
Relation open_without_waiting(Oid relation) {
    if (!OidIsValid(relation) || !ConditionalLockRelationOid(relation, AccessShareLock))
        return nullptr;
    Relation const opened = try_relation_open(relation, NoLock);
    if (opened == nullptr)
        UnlockRelationOid(relation, AccessShareLock);
    return opened;
}

Oid default_partition(Relation history) {
    PartitionDesc const partitions = RelationGetPartitionDesc(history, true);
    bool const has_default = partitions->boundinfo != nullptr && partitions->boundinfo->default_index >= 0;
    return has_default ? partitions->oids[partitions->boundinfo->default_index] : InvalidOid;
}

bool is_ready(Relation history, TimestampTz moment) {
    Oid const leftovers = default_partition(history), found = partition_at(history, moment);
    if (!OidIsValid(leftovers) || !OidIsValid(found) || found == leftovers)
        return false;
    Relation const rest = open_without_waiting(leftovers);
    if (rest == nullptr)
        return true;
    bool const empty = rest->rd_rel->relkind != RELKIND_RELATION || RelationGetNumberOfBlocks(rest) == 0;
    relation_close(rest, AccessShareLock);
    return empty;
}

} // namespace

Oid partition_at(Relation history, TimestampTz moment) {
    PartitionKey const key = RelationGetPartitionKey(history);
    PartitionDesc const partitions = RelationGetPartitionDesc(history, true);
    PartitionBoundInfo const bounds = partitions->boundinfo;
    if (key->strategy != PARTITION_STRATEGY_RANGE || key->partnatts != 1 ||
        key->partattrs[0] != kFinishedAt || bounds == nullptr)
        return InvalidOid;
    Datum value = TimestampTzGetDatum(moment);
    bool equal = false;
    int const bound =
        partition_range_datum_bsearch(key->partsupfunc, key->partcollation, bounds, 1, &value, &equal);
    int const found = bounds->indexes[bound + 1];
    int const index = found >= 0 ? found : bounds->default_index;
    return index >= 0 ? partitions->oids[index] : InvalidOid;
}

bool history_takes(Oid schema, TimestampTz moment) {
    Relation const history = open_table(schema, "job_history", AccessShareLock);
    return pg::call([&] {
        bool const takes = OidIsValid(partition_at(history, moment));
        table_close(history, AccessShareLock);
        return takes;
    });
}

bool history_is_ready(Oid schema, TimestampTz moment) {
    Oid const table = relation_in(schema, "job_history");
    return pg::call([&] {
        Relation const history = open_without_waiting(table);
        if (history == nullptr)
            return true;
        bool const ready = is_ready(history, moment);
        table_close(history, AccessShareLock);
        return ready;
    });
}

} // namespace fairq::tables
