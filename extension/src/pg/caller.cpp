// Callers (see caller.hpp). Destructors restore everything here while an exception unwinds; the abort of the
// transaction restores the user once more.
#include "pg/caller.hpp"

namespace fairq::pg {

namespace {

// The caller and the owner of the innermost API function. If the current user is not that owner, code of another
// user (for example of a trigger) is running inside the function.
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
