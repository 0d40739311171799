// Asynchronous commits (see async_commit.hpp). Each write that has to survive a crash moves XactLastRecEnd, the end of
// the transaction's last WAL record. So a comparison is enough: a transaction without a record (and without an xid)
// has written nothing, and one whose last record is still the record at which may_be_lost() was called has written
// only what may be lost. In cases of doubt (a savepoint that was rolled back, a page that a query pruned) the commit
// waits for its WAL.
#include "pg/async_commit.hpp"

#include "pg/settings.hpp"
#include "pg/transaction_end.hpp"

namespace fairq::pg::async_commit {

namespace {

// Where the WAL that may be lost ends, if this transaction has written nothing else up to there.
XLogRecPtr losable_end = InvalidXLogRecPtr;

bool may_be_asynchronous() {
    return losable_end != InvalidXLogRecPtr && losable_end == XactLastRecEnd && settings::async_claims() &&
           synchronous_commit > SYNCHRONOUS_COMMIT_OFF;
}

// The server undoes a transaction's settings only after the commit has read them. At before_commit an error may still
// be raised, and no frame between here and the server needs a destructor.
void at_end(TransactionEvent event) {
    if (event == TransactionEvent::before_commit && may_be_asynchronous())
        set_config_option("synchronous_commit", "off", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_LOCAL, true, 0,
                          false);
    if (is_over(event))
        losable_end = InvalidXLogRecPtr;
}

} // namespace

void install_callbacks() {
    on_transaction_end<at_end>();
}

bool wrote_only_losable() {
    return XactLastRecEnd == losable_end &&
           (losable_end != InvalidXLogRecPtr || !TransactionIdIsValid(GetTopTransactionIdIfAny()));
}

void may_be_lost() {
    losable_end = XactLastRecEnd;
}

} // namespace fairq::pg::async_commit
