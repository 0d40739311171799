// The caller of an API function, and the rights that the function runs with. A function runs with its owner's rights,
// but what it allows depends on its caller. SECURITY DEFINER would hide the caller, because GetUserId() would be the
// owner. So API functions are SECURITY INVOKER to PostgreSQL and change to their owner here.
#pragma once

#include "pg/boundary.hpp"

namespace fairq::pg {

// From construction to destruction the function's owner is the current user, as in a SECURITY DEFINER
// function.
class OwnerRights {
public:
    explicit OwnerRights(FunctionCallInfo call_info);
    ~OwnerRights();
    OwnerRights(const OwnerRights &) = delete;
    OwnerRights &operator=(const OwnerRights &) = delete;

private:
    Oid previous_, previous_caller_, previous_owner_;
    int context_;
};

// While an object of this class lives, its role is the outer role, whichever role the session has.
class OuterRole {
public:
    explicit OuterRole(Oid role);
    ~OuterRole();
    OuterRole(const OuterRole &) = delete;
    OuterRole &operator=(const OuterRole &) = delete;

private:
    Oid previous_;
};

// The role that calls the API function in progress: current_user at the call; outside of one, the current user.
Oid calling_role();
// The role of the session, by login or SET ROLE, whatever SECURITY DEFINER function it is in.
Oid outer_role();
bool has_rights_of(Oid member, Oid role);

} // namespace fairq::pg

// Defines an SQL-callable function of the API: FAIRQ_FUNCTION with the rights of its owner.
#define FAIRQ_API_FUNCTION(name)                                                                             \
    static Datum name##_as_owner(FunctionCallInfo fcinfo);                                                   \
    FAIRQ_FUNCTION(name) {                                                                                   \
        ::fairq::pg::OwnerRights const rights(fcinfo);                                                       \
        return name##_as_owner(fcinfo);                                                                      \
    }                                                                                                        \
    static Datum name##_as_owner([[maybe_unused]] FunctionCallInfo fcinfo)
