// One unfinished job, by its id.
#pragma once

#include "pg/boundary.hpp"

namespace fairq::tables {

// Its row, as the active snapshot sees it.
class JobRow {
public:
    JobRow(Oid schema, int64 id);
    bool found() const { return found_; }
    TupleTableSlot *slot() const { return slot_; }
    void close();

private:
    Relation table_, index_;
    IndexScanDesc scan_;
    TupleTableSlot *slot_;
    bool found_;
};

// What a handler is given.
struct HandledJob {
    Datum row; // of the type job_queue
    std::string type;
    int64 timeout; // microseconds
};
// None when the lease has lost it.
std::optional<HandledJob> job_of_lease(Oid schema, int64 id, int64 lock_token, Oid row_type);

} // namespace fairq::tables
