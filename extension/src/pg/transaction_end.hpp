// Pending changes: what a transaction collects while it runs, to publish it to other sessions when it ends. At the end
// nothing may raise, as a failed allocation would, so the list is complete before.
#pragma once

#include "pg/boundary.hpp"

namespace fairq::pg {

// How a transaction, or a savepoint in it, ends for this session. A prepared transaction may later commit or roll back
// in any session. before_commit is the last event at which an error may be raised.
enum class TransactionEvent { before_commit, commit, abort, prepare, savepoint_commit, savepoint_abort };

// Whether the whole transaction has ended: then its pending changes are no longer needed.
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

// changes: in the order of the nesting levels that they were made on. Returns how many of them remain after the end of
// a savepoint, and moves the changes of a committed savepoint to the level above.
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

// Clearing a hash table costs time for each of its buckets, so a table with many is replaced by a new one.
template <class Table>
void clear_and_shrink(Table &table) {
    constexpr size_t kBucketsKept = 1024;
    if (table.bucket_count() > kBucketsKept)
        table = Table();
    table.clear();
}

// The pending changes of one queue, since a database has the extension once. They are allocated on first use and never
// destroyed: no constructor may run when the library is loaded.
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
