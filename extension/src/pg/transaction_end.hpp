// Pending changes: what a transaction collects while it runs, to tell other sessions when it ends. At its end
// nothing may raise, and an allocation that fails would: so the list is complete before.
#pragma once

#include "pg/boundary.hpp"

namespace fairq::pg {

// How a transaction, or a savepoint in it, ends for this session. A prepared one may yet end either way, in
// any session. before_commit is the last moment for an error.
enum class TransactionEvent { before_commit, commit, abort, prepare, savepoint_commit, savepoint_abort };

// The whole transaction: what was collected for its end is done with.
constexpr bool is_over(TransactionEvent event) {
    return event == TransactionEvent::commit || event == TransactionEvent::abort ||
           event == TransactionEvent::prepare;
}

constexpr std::optional<TransactionEvent> event_of(XactEvent server_event) {
    switch (server_event) {
    case XACT_EVENT_PRE_COMMIT:
        return TransactionEvent::before_commit;
    case XACT_EVENT_COMMIT:
        return TransactionEvent::commit;
    case XACT_EVENT_ABORT:
        return TransactionEvent::abort;
    case XACT_EVENT_PREPARE:
        return TransactionEvent::prepare;
    default:
        return std::nullopt;
    }
}

// To be called by _PG_init. PostgreSQL calls the function that was installed first last.
template <void (*hear)(TransactionEvent)>
void on_transaction_end() {
    RegisterXactCallback(
        [](XactEvent server_event, void *) {
            if (std::optional<TransactionEvent> const event = event_of(server_event))
                hear(*event);
        },
        nullptr);
    RegisterSubXactCallback(
        [](SubXactEvent event, SubTransactionId, SubTransactionId, void *) {
            if (event == SUBXACT_EVENT_COMMIT_SUB)
                hear(TransactionEvent::savepoint_commit);
            if (event == SUBXACT_EVENT_ABORT_SUB)
                hear(TransactionEvent::savepoint_abort);
        },
        nullptr);
}

// For a list of changes, each with the nesting level that it was made on, never less than the one's before:
// how many of them the end of a savepoint leaves. Those that it commits are now on the level above.
template <class Change>
size_t follow_savepoint(TransactionEvent event, Change *changes, size_t count) {
    int const nesting = GetCurrentTransactionNestLevel();
    if (event == TransactionEvent::savepoint_abort)
        while (count > 0 && changes[count - 1].nesting >= nesting)
            --count;
    if (event == TransactionEvent::savepoint_commit)
        for (size_t i = count; i > 0 && changes[i - 1].nesting >= nesting; --i)
            changes[i - 1].nesting = nesting - 1;
    return count;
}

// Clearing a table costs as much as it once had room for.
template <class Table>
void clear_and_shrink(Table &table) {
    constexpr size_t kBucketsKept = 1024;
    if (table.bucket_count() > kBucketsKept)
        table = Table();
    table.clear();
}

// Of one table: a database has the extension once. Made on first use and never destroyed: no constructor may
// run when the library is loaded.
template <class Content>
class PendingChanges {
public:
    Content &of(Oid table) {
        if (content_ == nullptr)
            content_ = new Content;
        table_ = table;
        return *content_;
    }
    explicit operator bool() const { return content_ != nullptr; }
    Content *operator->() const { return content_; }
    Oid table() const { return table_; }

private:
    Content *content_ = nullptr;
    Oid table_ = InvalidOid;
};

} // namespace fairq::pg
