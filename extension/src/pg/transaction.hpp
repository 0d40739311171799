// Transactions of background workers, and the rights that they act with.
#pragma once

#include "pg/errors.hpp"

namespace fairq::pg {

void begin_transaction();  // with an active snapshot, so that values can be detoasted
void commit_transaction(); // and reports statistics, which a background worker does not do by itself
// Ends the failed transaction and removes the pending error from elog's stack. `thrown` is the message of a C++
// exception, for which no error is pending there.
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

// The two ends of a subtransaction that try_subtransaction() has begun.
struct Subtransaction {
    MemoryContext context;
    ResourceOwner owner;

    static Subtransaction begin();
    void commit() const;
    ErrorText
    roll_back(const char *thrown) const; // as abort_transaction(); raises again what ends the caller's call
};

// Runs body in a subtransaction of the transaction in progress. An error rolls back what body has done, and is
// returned. A cancel or the statement's timeout is meant for the caller's call, and is raised again.
template <class F>
std::optional<ErrorText> try_subtransaction(F &&body) {
    char thrown[256] = "";
    Subtransaction const own = Subtransaction::begin();
    try {
        body();
        own.commit();
        return std::nullopt;
    } catch (const Error &) {
    } catch (const std::exception &e) {
        strlcpy(thrown, e.what(), sizeof thrown);
    }
    return own.roll_back(thrown[0] ? thrown : nullptr);
}

// Runs body with the rights of `role`; body cannot change to another role by SET ROLE. After an error, the abort
// restores the rights.
template <class F>
void as_role(Oid role, F &&body) {
    Oid previous = InvalidOid;
    int context = 0;
    GetUserIdAndSecContext(&previous, &context);
    SetUserIdAndSecContext(role, context | SECURITY_LOCAL_USERID_CHANGE);
    body();
    SetUserIdAndSecContext(previous, context);
}

// Waits at most `milliseconds` until all transactions that write the table have ended, then runs body while no other
// can begin to write it. False when they did not end; then body did not run. The wait and body have to be short: every
// new writer waits for both.
bool without_writers(Oid table, int milliseconds, void (*body)(void *), void *argument);

// The caller of a SECURITY INVOKER function. (The outer role would be wrong where the session of a superuser runs
// another user's code: it is the superuser.)
Oid current_role();
std::string role_name(Oid role);
bool role_exists(Oid role);
// The system identifier of this cluster: the oids of roles mean something in one cluster only.
int64 cluster_id();
bool role_is_superuser(Oid role);
bool role_can_login(Oid role);
bool may_become(Oid role, Oid target);

// The user's search_path and lock_timeout, for code of users; see pin_settings().
struct UserSettings {
    std::string search_path, lock_timeout;
};
// Sets both for the extension's own statements in a background worker, which no SET clause of a function protects.
// Returns the user's settings.
UserSettings pin_settings(int lock_timeout_ms);

// Runs body with a session setting, and restores it afterwards together with all settings that body has changed, even
// by a plain SET (which only the rollback of a GUC nest level undoes).
template <class F>
void with_setting(const char *name, const char *value, F &&body) {
    int const level = NewGUCNestLevel();
    call(
        [&] { set_config_option(name, value, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false); });
    body();
    call([&] { AtEOXact_GUC(false, level); });
}

// Runs body with the search_path that the extension's statements rely on, whatever the caller's search_path is.
template <class F>
void with_own_names(F &&body) {
    constexpr char kPath[] = "pg_catalog, pg_temp";
    if (namespace_search_path != nullptr && strcmp(namespace_search_path, kPath) == 0)
        body();
    else
        with_setting("search_path", kPath, body);
}

// Whatever the session's default isolation level is. To be called before the transaction has done anything.
void use_read_committed();

} // namespace fairq::pg
