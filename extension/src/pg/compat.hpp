// Every difference between PostgreSQL 14 and 18 that the extension meets, one shim each, under the newest version's
// name. Only pg.hpp includes this file.
#pragma once

#if PG_VERSION_NUM < 140000 || PG_VERSION_NUM >= 190000
#error "fairq builds with PostgreSQL 14 to 18"
#endif

#if PG_VERSION_NUM >= 160000
extern "C" {
#include "varatt.h"
}
#endif

// Before 16 PGDLLEXPORT is empty on ELF, and -fvisibility=hidden would hide even the magic function.
#if PG_VERSION_NUM < 160000
#undef PGDLLEXPORT
#define PGDLLEXPORT __attribute__((visibility("default")))
#endif

// 15 gave it a name.
#if PG_VERSION_NUM < 150000
#define BTPageGetOpaque(page) ((BTPageOpaque)PageGetSpecialPointer(page))
#endif

namespace fairq::pg::compat {

// 17 replaced backend ids by proc numbers; 18 added instrumentation to index scans.
inline IndexScanDesc index_beginscan(Relation table, Relation index, Snapshot snapshot, int keys) {
#if PG_VERSION_NUM >= 180000
    return ::index_beginscan(table, index, snapshot, nullptr, keys, 0);
#else
    return ::index_beginscan(table, index, snapshot, keys, 0);
#endif
}

// 16 added TU_Summarizing: the row stays HOT, and only indexes such as BRIN need entries.
#if PG_VERSION_NUM < 160000
enum TU_UpdateIndexes { TU_None, TU_All, TU_Summarizing };
#else
using ::TU_None;
using ::TU_Summarizing;
using ::TU_UpdateIndexes;
#endif

inline TM_Result table_tuple_update(Relation table, ItemPointer tid, TupleTableSlot *slot, Snapshot snapshot,
                                    bool wait, TU_UpdateIndexes *indexes) {
    TM_FailureData failure;
    LockTupleMode mode = LockTupleNoKeyExclusive;
#if PG_VERSION_NUM >= 160000
    TU_UpdateIndexes *const needed = indexes;
#else
    bool all = false, *const needed = &all;
#endif
    TM_Result const result = ::table_tuple_update(table, tid, slot, GetCurrentCommandId(true), snapshot,
                                                  InvalidSnapshot, wait, &failure, &mode, needed);
#if PG_VERSION_NUM < 160000
    *indexes = all ? TU_All : TU_None;
#endif
    return result;
}

// The search that index scans start with. 16 wants to know the table; 17 has no old snapshots.
inline BTStack bt_search(Relation index, [[maybe_unused]] Relation table, BTScanInsert key, Buffer *buffer,
                         [[maybe_unused]] Snapshot snapshot) {
#if PG_VERSION_NUM >= 170000
    return ::_bt_search(index, table, key, buffer, BT_READ);
#elif PG_VERSION_NUM >= 160000
    return ::_bt_search(index, table, key, buffer, BT_READ, snapshot);
#else
    return ::_bt_search(index, key, buffer, BT_READ, snapshot);
#endif
}

// Whether an UPDATE or a DELETE would be refused, because a publication of the table could not identify the changed
// row. 15 added row filters and column lists.
inline bool publications_refuse_changes(Relation table) {
    bool const identified =
        table->rd_rel->relreplident == REPLICA_IDENTITY_FULL || OidIsValid(RelationGetReplicaIndex(table));
#if PG_VERSION_NUM >= 150000
    PublicationDesc published;
    RelationBuildPublicationDesc(table, &published);
    if (!published.rf_valid_for_update || !published.rf_valid_for_delete ||
        !published.cols_valid_for_update || !published.cols_valid_for_delete)
        return true;
    PublicationActions const &actions = published.pubactions;
#else
    PublicationActions const &actions = *GetRelationPublicationActions(table);
#endif
    return !identified && (actions.pubupdate || actions.pubdelete);
}

// 16 added onlySummarizing. No unique check has to be deferred.
inline void insert_index_entries(ResultRelInfo *result, TupleTableSlot *slot, EState *estate, bool update,
                                 [[maybe_unused]] bool only_summarizing = false) {
#if PG_VERSION_NUM >= 160000
    list_free(ExecInsertIndexTuples(result, slot, estate, update, false, nullptr, NIL, only_summarizing));
#else
    list_free(ExecInsertIndexTuples(result, slot, estate, update, false, nullptr, NIL));
#endif
}

// 16: object_aclcheck replaced the pg_*_aclcheck family.
inline bool may_execute(Oid function, Oid role) {
#if PG_VERSION_NUM >= 160000
    return object_aclcheck(ProcedureRelationId, function, role, ACL_EXECUTE) == ACLCHECK_OK;
#else
    return pg_proc_aclcheck(function, role, ACL_EXECUTE) == ACLCHECK_OK;
#endif
}

// 16: a membership may come without the right to SET ROLE.
inline bool may_become(Oid role, Oid target) {
#if PG_VERSION_NUM >= 160000
    return member_can_set_role(role, target);
#else
    return is_member_of_role(role, target);
#endif
}

// 15 added the request hook; before, shared memory is asked for in _PG_init itself.
template <void (*request)()>
void at_shmem_request() {
#if PG_VERSION_NUM >= 150000
    static shmem_request_hook_type previous = nullptr;
    previous = shmem_request_hook;
    shmem_request_hook = [] {
        if (previous)
            previous();
        request();
    };
#else
    request();
#endif
}

// 15 renamed it.
#if PG_VERSION_NUM < 150000
inline void MarkGUCPrefixReserved(const char *prefix) {
    EmitWarningsOnPlaceholders(prefix);
}
#else
using ::MarkGUCPrefixReserved;
#endif

// 15 added InitMaterializedSRF. The caller's descriptor describes a row type and a plain SETOF type alike.
inline ReturnSetInfo *materialize(FunctionCallInfo fcinfo) {
    auto *result = reinterpret_cast<ReturnSetInfo *>(fcinfo->resultinfo);
#if PG_VERSION_NUM >= 150000
    InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
#else
    if (result == nullptr || !IsA(result, ReturnSetInfo) || !(result->allowedModes & SFRM_Materialize))
        ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                        errmsg("set-valued function called in context that cannot accept a set")));
    MemoryContext const previous = MemoryContextSwitchTo(result->econtext->ecxt_per_query_memory);
    result->returnMode = SFRM_Materialize;
    result->setResult =
        tuplestore_begin_heap((result->allowedModes & SFRM_Materialize_Random) != 0, false, work_mem);
    result->setDesc = CreateTupleDescCopy(result->expectedDesc);
    MemoryContextSwitchTo(previous);
#endif
    return result;
}

// expression_tree_walker and _mutator: before 16, C declares their callbacks without parameters, and C++ takes that to
// mean no parameters at all.
inline bool walk_expression(Node *node, bool (*walker)(Node *, void *), void *context) {
#if PG_VERSION_NUM >= 160000
    return expression_tree_walker_impl(node, walker, context);
#else
    return ::expression_tree_walker(node, reinterpret_cast<bool (*)()>(reinterpret_cast<void *>(walker)),
                                    context);
#endif
}
inline Node *change_expression(Node *node, Node *(*mutator)(Node *, void *), void *context) {
#if PG_VERSION_NUM >= 160000
    return expression_tree_mutator_impl(node, mutator, context);
#else
    return ::expression_tree_mutator(node, reinterpret_cast<Node *(*)()>(reinterpret_cast<void *>(mutator)),
                                     context);
#endif
}

} // namespace fairq::pg::compat
