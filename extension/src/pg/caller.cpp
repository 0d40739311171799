// Callers (see caller.hpp). Everything here is restored while an exception unwinds; the transaction's abort
// restores the user once more.
#include "pg/caller.hpp"

namespace fairq::pg {

namespace {

// Caller and owner of the innermost API function. Inside of it, code of another user (a trigger's, say) is
// recognized by the current user, which is not the owner then.
Oid caller = InvalidOid, callee_owner = InvalidOid;
Oid acting = InvalidOid;

Oid owner_of_function(Oid function) {
    return call([&] {
        HeapTuple const tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
        if (!HeapTupleIsValid(tuple))
            elog(ERROR, "cache lookup failed for function %u", function);
        Oid const owner = (reinterpret_cast<Form_pg_proc>(GETSTRUCT(tuple)))->proowner;
        ReleaseSysCache(tuple);
        return owner;
    });
}

} // namespace

OwnerRights::OwnerRights(FunctionCallInfo call_info)
    : previous_caller_(caller), previous_owner_(callee_owner) {
    Oid const owner = owner_of_function(call_info->flinfo->fn_oid);
    GetUserIdAndSecContext(&previous_, &context_);
    caller = calling_role();
    callee_owner = owner;
    SetUserIdAndSecContext(owner, context_ | SECURITY_LOCAL_USERID_CHANGE);
}

OwnerRights::~OwnerRights() {
    SetUserIdAndSecContext(previous_, context_);
    caller = previous_caller_;
    callee_owner = previous_owner_;
}

OuterRole::OuterRole(Oid role) : previous_(acting) {
    acting = role;
}

OuterRole::~OuterRole() {
    acting = previous_;
}

Oid calling_role() {
    return OidIsValid(callee_owner) && GetUserId() == callee_owner ? caller : GetUserId();
}

Oid outer_role() {
    return OidIsValid(acting) ? acting : GetOuterUserId();
}

bool has_rights_of(Oid member, Oid role) {
    return call([&] { return has_privs_of_role(member, role); });
}

} // namespace fairq::pg
