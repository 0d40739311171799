// Every error that a caller can act on: one function each, with its SQLSTATE, the value that was wrong and a
// hint. Class JQ belongs to fairq; an error that PostgreSQL already has keeps its code. docs/reference.md has the same
// table.
#pragma once

#include "pg/boundary.hpp"

namespace fairq::pg {

[[noreturn]] void raise_lease_lost(int64 job_id, int64 lock_token);                        // JQ001
void warn_leases_lost(const std::vector<int64> &job_ids, int64 lock_token);                // JQ001
[[noreturn]] void raise_tenant_limit(const std::string &message, const std::string &json); // JQ002
[[noreturn]] void raise_unknown_job(int64 job_id);                                         // JQ004
// current: the stage that the run is in; none when it is over.
[[noreturn]] void raise_stage_passed(int64 run, int32 stage, const std::string &status,
                                     std::optional<int32> current);                           // JQ005
[[noreturn]] void raise_payload_too_large(size_t bytes, size_t limit);                        // JQ006
[[noreturn]] void raise_bad_argument(const std::string &message, const std::string &hint);    // JQ007
void refuse_on_standby(const char *what);                                                     // 25006
void refuse_read_only(const char *what);                                                      // 25006
[[noreturn]] void raise_isolation_level();                                                    // 25001
[[noreturn]] void raise_in_transaction();                                                     // 25001
[[noreturn]] void raise_cannot_wait();                                                        // 25001
[[noreturn]] void raise_no_worker_slot();                                                     // 53000
[[noreturn]] void raise_role_cannot_login(const std::string &role);                           // 28000
[[noreturn]] void raise_not_allowed(const std::string &message, const std::string &hint);     // 42501
[[noreturn]] void raise_timed_out();                                                          // 57014
[[noreturn]] void raise_worker_ended();                                                       // JQ009
[[noreturn]] void raise_unknown_run(int64 run);                                               // JQ010
[[noreturn]] void raise_row_swallowed(const char *table);                                     // JQ011
[[noreturn]] void raise_refused_ddl(const std::string &message, const std::string &hint);     // JQ018
[[noreturn]] void raise_not_installed();                                                      // 55000
[[noreturn]] void raise_other_version(const std::string &library, const std::string &script); // 55000
[[noreturn]] void raise_missing_relation(const char *name);                                   // 55000
// definition: what follows CREATE INDEX and its name.
[[noreturn]] void raise_altered_index(const char *index, const char *definition); // 55000

// A statement did not return the row or the value that its verb reads. Only a broken installation can cause it.
[[noreturn]] void raise_no_value(const char *statement, size_t rows, size_t row, int column); // XX000

// An error as plain data, so that it can cross a process boundary.
struct ErrorText {
    int code = 0;
    char message[8192] = "";
    char detail[512] = "";
    char hint[512] = "";
};
extern const char *const kTimedOut; // PostgreSQL's own message
bool is_lease_lost(const ErrorText &error);
bool may_be_of_one_row(const ErrorText &error); // not of the statement, the server or the transaction
[[noreturn]] void raise_copied(const ErrorText &error);

std::string sqlstate_of(const ErrorText &error);

void warn_fewer_workers(int got, int wanted);
// A WARNING in the server's log; without a defect a LOG, that it can run again.
void log_gone_handler(const std::string &job_type, const std::string &defect);
// For the log only: the call that the housekeeping rides on succeeds. what: "job 17"; empty: the step as a whole.
void log_housekeeping_failure(const std::string &step, const std::string &what, const ErrorText &error);
// For work that no caller waits for: into the server's log. A lock that was not to be had in time is not worth a line.
void log_no_worker_slot(const char *consequence);
void log_failure(const char *consequence, const ErrorText &error);

} // namespace fairq::pg
