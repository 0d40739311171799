// Transactions of background workers, and the rights that they act with.
#pragma once

#include "pg/errors.hpp"

namespace fairq::pg {

void begin_transaction();  // with an active snapshot, so that values can be detoasted
void commit_transaction(); // and reports statistics, which a background worker does not do by itself
// Ends the failed transaction and takes the pending error off elog's stack. `thrown` is its message when it
// was a C++ exception and nothing is pending there.
ErrorText abort_transaction(const char *thrown);

// Runs body in a transaction of its own. An error, also one at commit, rolls it back and is returned. FATAL (a
// terminated worker) does not return.
template <class F>
std::optional<ErrorText> try_transaction(F &&body) {
    char thrown[256] = "";
    try {
        begin_transaction();
        body();
        commit_transaction();
        return std::nullopt;
    } catch (const Error &) {
    } catch (const std::exception &e) {
        strlcpy(thrown, e.what(), sizeof thrown);
    }
    return abort_transaction(thrown[0] ? thrown : nullptr);
}

// Runs body with the rights of `role`, which it cannot leave by SET ROLE. An error leaves it to the abort to
// restore.
template <class F>
void as_role(Oid role, F &&body) {
    Oid previous = InvalidOid;
    int context = 0;
    GetUserIdAndSecContext(&previous, &context);
    SetUserIdAndSecContext(role, context | SECURITY_LOCAL_USERID_CHANGE);
    body();
    SetUserIdAndSecContext(previous, context);
}

// Waits at most `milliseconds` for all writers of the table to end, then runs body while none can start.
// False, and body did not run, when they did not end. Both have to be short: every new writer waits behind.
bool without_writers(Oid table, int milliseconds, void (*body)(void *), void *argument);

// The caller of a SECURITY INVOKER function. (The outer role would be the superuser, wherever a superuser's
// session runs another user's code.)
Oid current_role();
std::string role_name(Oid role);
std::optional<Oid> role_by_name(const std::string &name);
bool role_is_superuser(Oid role);
bool role_can_login(Oid role);
bool may_become(Oid role, Oid target);

// The user's search_path and lock_timeout, for code of users; see pin_settings().
struct UserSettings {
    std::string search_path, lock_timeout;
};
// Pins both for the extension's own statements in a background worker, which no SET clause of a function
// protects. Returns the user's.
UserSettings pin_settings(int lock_timeout_ms);

// Runs body with a session setting that ends with it; so does everything that body sets, also by a plain SET
// (which only the rollback of the level takes back).
template <class F>
void with_setting(const char *name, const char *value, F &&body) {
    int const level = NewGUCNestLevel();
    call(
        [&] { set_config_option(name, value, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false); });
    body();
    call([&] { AtEOXact_GUC(false, level); });
}

// Runs body with the names that our statements rely on, whatever the caller's search_path is.
template <class F>
void with_own_names(F &&body) {
    constexpr char kPath[] = "pg_catalog, pg_temp";
    if (namespace_search_path != nullptr && strcmp(namespace_search_path, kPath) == 0)
        body();
    else
        with_setting("search_path", kPath, body);
}

// In a transaction that has done nothing yet, whatever the session's defaults are.
void use_read_committed();

} // namespace fairq::pg
