// Transactions and roles (see transaction.hpp).
#include "pg/transaction.hpp"

namespace fairq::pg {

namespace {

// Copies whole characters, as many as fit.
void fill(char *to, size_t size, const char *from) {
    if (from)
        strlcpy(to, from,
                1 + static_cast<size_t>(
                        pg_mbcliplen(from, static_cast<int>(strlen(from)), static_cast<int>(size) - 1)));
}

// Runs inside call(); the memory of the copy is the caller's.
ErrorText text_of(const ErrorData *error) {
    ErrorText text;
    text.code = error->sqlerrcode;
    fill(text.message, sizeof text.message, error->message);
    fill(text.detail, sizeof text.detail, error->detail);
    fill(text.hint, sizeof text.hint, error->hint);
    return text;
}

ErrorText text_of(const char *thrown) {
    ErrorText text;
    text.code = ERRCODE_INTERNAL_ERROR;
    strlcpy(text.message, thrown, sizeof text.message);
    return text;
}

} // namespace

void use_read_committed() {
    XactIsoLevel = XACT_READ_COMMITTED;
    XactReadOnly = false;
}

void begin_transaction() {
    call([] {
        SetCurrentStatementStartTimestamp();
        StartTransactionCommand();
        use_read_committed();
        PushActiveSnapshot(GetTransactionSnapshot());
    });
}

void commit_transaction() {
    call([] {
        PopActiveSnapshot();
        CommitTransactionCommand();
        pgstat_report_stat(false);
    });
}

ErrorText abort_transaction(const char *thrown) {
    ErrorText text;
    HOLD_INTERRUPTS();
    if (thrown) {
        text = text_of(thrown);
    } else {
        call([&] {
            MemoryContext const previous = MemoryContextSwitchTo(TopMemoryContext);
            ErrorData *const error = CopyErrorData();
            MemoryContextSwitchTo(previous);
            text = text_of(error);
            FreeErrorData(error);
            FlushErrorState();
        });
    }
    // A timeout or a cancel that arrives only now belongs to the attempt that has ended.
    disable_all_timeouts(false);
    QueryCancelPending = false;
    call([] { AbortCurrentTransaction(); });
    RESUME_INTERRUPTS();
    return text;
}

Subtransaction Subtransaction::begin() {
    Subtransaction const own{CurrentMemoryContext, CurrentResourceOwner};
    call([&] {
        BeginInternalSubTransaction(nullptr);
        MemoryContextSwitchTo(own.context);
    });
    return own;
}

void Subtransaction::commit() const {
    call([&] {
        ReleaseCurrentSubTransaction();
        MemoryContextSwitchTo(context);
        CurrentResourceOwner = owner;
    });
}

ErrorText Subtransaction::roll_back(const char *thrown) const {
    ErrorData *error = nullptr;
    MemoryContextSwitchTo(context);
    call([&] {
        if (thrown == nullptr) {
            error = CopyErrorData();
            FlushErrorState();
        }
        RollbackAndReleaseCurrentSubTransaction();
        MemoryContextSwitchTo(context);
        CurrentResourceOwner = owner;
        if (error != nullptr && error->sqlerrcode == ERRCODE_QUERY_CANCELED)
            ReThrowError(error);
    });
    return thrown ? text_of(thrown) : text_of(error);
}

bool without_writers(Oid table, int milliseconds, void (*body)(void *), void *argument) {
    MemoryContext const context = CurrentMemoryContext;
    ResourceOwner const owner = CurrentResourceOwner;
    int const timeout = LockTimeout;
    bool locked = false;
    // A lock that is not granted in time raises. Only in a subtransaction can this transaction go on after that.
    call([] { BeginInternalSubTransaction(nullptr); });
    try {
        LockTimeout = milliseconds;
        call([&] { LockRelationOid(table, ShareLock); });
        locked = true;
    } catch (const Error &) {
    }
    LockTimeout = timeout;
    call([&] {
        if (locked) {
            ReleaseCurrentSubTransaction();
        } else {
            MemoryContextSwitchTo(context);
            ErrorData *const error = CopyErrorData();
            FlushErrorState();
            RollbackAndReleaseCurrentSubTransaction();
            if (error->sqlerrcode != ERRCODE_LOCK_NOT_AVAILABLE)
                ReThrowError(error);
        }
        MemoryContextSwitchTo(context);
        if (locked) {
            body(argument);
            // Before the owner changes: the lock belongs to the one that the subtransaction has handed it to.
            UnlockRelationOid(table, ShareLock);
        }
        CurrentResourceOwner = owner;
    });
    return locked;
}

UserSettings pin_settings(int lock_timeout_ms) {
    UserSettings const user{GetConfigOption("search_path", false, false),
                            GetConfigOption("lock_timeout", false, false)};
    std::string const timeout = std::to_string(lock_timeout_ms);
    call([&] {
        SetConfigOption("search_path", "pg_catalog, pg_temp", PGC_USERSET, PGC_S_SESSION);
        SetConfigOption("lock_timeout", timeout.c_str(), PGC_USERSET, PGC_S_SESSION);
    });
    return user;
}

Oid current_role() {
    return GetUserId();
}

std::string role_name(Oid role) {
    return call([&] { return GetUserNameFromId(role, false); });
}

bool role_exists(Oid role) {
    return call([&] { return SearchSysCacheExists1(AUTHOID, ObjectIdGetDatum(role)); });
}

int64 cluster_id() {
    return static_cast<int64>(GetSystemIdentifier());
}

bool role_is_superuser(Oid role) {
    return call([&] { return superuser_arg(role); });
}

bool role_can_login(Oid role) {
    return call([&] {
        HeapTuple const tuple = SearchSysCache1(AUTHOID, ObjectIdGetDatum(role));
        bool const can =
            HeapTupleIsValid(tuple) && (reinterpret_cast<Form_pg_authid>(GETSTRUCT(tuple)))->rolcanlogin;
        if (HeapTupleIsValid(tuple))
            ReleaseSysCache(tuple);
        return can;
    });
}

bool may_become(Oid role, Oid target) {
    return call([&] { return compat::may_become(role, target); });
}

} // namespace fairq::pg
