// One unfinished job, by its id.
#pragma once

#include "pg/index_scan.hpp"

namespace fairq::tables {

// The job's row, as the active snapshot sees it.
class JobRow {
public:
    JobRow(Oid schema, int64 id);
    bool found() const { return found_; }
    pg::Value value(AttrNumber column) const { return scan_.value(column); }
    TupleTableSlot *slot() const { return scan_.slot(); }
    void close() { scan_.close(); }

private:
    pg::IndexScan scan_;
    bool found_;
};

// What a handler is called with.
struct HandledJob {
    Datum row; // of the type job_queue
    std::string type;
    int64 timeout; // microseconds
};
// None when the lease does not hold the job any more.
std::optional<HandledJob> job_of_lease(Oid schema, int64 id, int64 lock_token, Oid row_type);

} // namespace fairq::tables
