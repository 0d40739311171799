// The errors that a caller can act on are raised here, and nowhere else (see errors.hpp). Messages are lower case
// without a full stop, hints are sentences.
#include "pg/errors.hpp"

namespace fairq::pg {

namespace {

constexpr int kLeaseLost = MAKE_SQLSTATE('J', 'Q', '0', '0', '1');
constexpr int kTenantLimit = MAKE_SQLSTATE('J', 'Q', '0', '0', '2');
constexpr int kUnknownJob = MAKE_SQLSTATE('J', 'Q', '0', '0', '4');
constexpr int kStagePassed = MAKE_SQLSTATE('J', 'Q', '0', '0', '5');
constexpr int kPayloadTooLarge = MAKE_SQLSTATE('J', 'Q', '0', '0', '6');
constexpr int kBadArgument = MAKE_SQLSTATE('J', 'Q', '0', '0', '7');
constexpr int kWorkerEnded = MAKE_SQLSTATE('J', 'Q', '0', '0', '9');
constexpr int kUnknownRun = MAKE_SQLSTATE('J', 'Q', '0', '1', '0');
constexpr int kRowSwallowed = MAKE_SQLSTATE('J', 'Q', '0', '1', '1');

// The error leaves this frame as an exception, because callers may hold C++ objects.
template <class F>
[[noreturn]] void raise(F &&report) {
    call(report);
    throw std::logic_error("an error did not raise");
}

} // namespace

void raise_lease_lost(int64 job_id, int64 lock_token) {
    raise([&] {
        ereport(
            ERROR,
            (errcode(kLeaseLost),
             errmsg("job %lld is not held by lock_token %lld", static_cast<long long>(job_id),
                    static_cast<long long>(lock_token)),
             errdetail("The lease was reclaimed, released or finished, or the job was cancelled."),
             errhint("Drop this job's work; call heartbeat_jobs in time, or raise fairq.lease_timeout.")));
    });
}

// DETAIL is JSON, for programs.
void warn_leases_lost(const std::vector<int64> &job_ids, int64 lock_token) {
    std::string ids;
    for (int64 const id : job_ids)
        ids.append(ids.empty() ? "" : ", ").append(std::to_string(id));
    call([&] {
        ereport(WARNING, (errcode(kLeaseLost),
                          errmsg_plural("%zu job was not completed: lock_token %lld does not hold it",
                                        "%zu jobs were not completed: lock_token %lld does not hold them",
                                        job_ids.size(), job_ids.size(), static_cast<long long>(lock_token)),
                          errdetail("{\"not_completed\": [%s]}", ids.c_str()),
                          errhint("Their lease has ended, or they were cancelled: drop their work.")));
    });
}

void raise_tenant_limit(const std::string &message, const std::string &json) {
    raise([&] {
        ereport(ERROR, (errcode(kTenantLimit), errmsg("%s", message.c_str()), errdetail("%s", json.c_str()),
                        errhint("Try again after the detail's retry_after_seconds, or raise the limit with "
                                "set_tenant_limits.")));
    });
}

void raise_unknown_job(int64 job_id) {
    raise([&] {
        ereport(ERROR, (errcode(kUnknownJob), errmsg("there is no job %lld", static_cast<long long>(job_id)),
                        errhint("If it finished more than 30 days ago, SELECT * FROM job_queue WHERE id = "
                                "%lld finds it: that "
                                "looks through all days.",
                                static_cast<long long>(job_id))));
    });
}

void raise_stage_passed(int64 run, int32 stage, const std::string &status, std::optional<int32> current) {
    raise([&] {
        ereport(ERROR,
                (errcode(kStagePassed),
                 errmsg("stage %d of pipeline run %lld has passed", stage, static_cast<long long>(run)),
                 current ? errdetail("The run is %s, in stage %d.", status.c_str(), *current)
                         : errdetail("The run is %s.", status.c_str()),
                 current ? errhint("Enqueue into stage %d or a later one.", *current)
                         : errhint("Make a new run with create_pipeline_run.")));
    });
}

void raise_payload_too_large(size_t bytes, size_t limit) {
    raise([&] {
        ereport(
            ERROR,
            (errcode(kPayloadTooLarge), errmsg("payload of %zu bytes is over the limit of %zu", bytes, limit),
             errhint("Store the body elsewhere and enqueue a reference, or raise fairq.max_payload_size.")));
    });
}

void raise_bad_argument(const std::string &message, const std::string &hint) {
    raise([&] {
        ereport(ERROR, (errcode(kBadArgument), errmsg("%s", message.c_str()), errhint("%s", hint.c_str())));
    });
}

void refuse_on_standby(const char *what) {
    call([&] { PreventCommandDuringRecovery(what); });
}

void refuse_read_only(const char *what) {
    call([&] { PreventCommandIfReadOnly(what); });
}

void raise_isolation_level() {
    raise([] {
        ereport(ERROR, (errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
                        errmsg("a claim needs the isolation level READ COMMITTED, this transaction has %s",
                               XactIsoLevel == XACT_SERIALIZABLE ? "SERIALIZABLE" : "REPEATABLE READ"),
                        errhint("Claim in a transaction of its own: BEGIN ISOLATION LEVEL READ COMMITTED.")));
    });
}

void raise_in_transaction() {
    raise([] {
        ereport(
            ERROR,
            (errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
             errmsg("a tick cannot run in a transaction that has written already, or that it may not end"),
             errdetail("Its workers are other sessions: they would wait for locks that this one holds."),
             errhint("Call it outside of a transaction block.")));
    });
}

void raise_cannot_wait() {
    raise([] {
        ereport(ERROR,
                (errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
                 errmsg("wait_for_jobs cannot run in a transaction that it may not end"),
                 errdetail("Its snapshot would keep vacuum from removing what has finished meanwhile."),
                 errhint("Call it outside of a transaction block, and of a function.")));
    });
}

void raise_no_worker_slot() {
    raise([] {
        ereport(ERROR,
                (errcode(ERRCODE_INSUFFICIENT_RESOURCES), errmsg("no free background worker slot for a tick"),
                 errhint("A tick needs a coordinator and at least one worker: raise max_worker_processes "
                         "(now %d).",
                         max_worker_processes)));
    });
}

void raise_role_cannot_login(const std::string &role) {
    raise([&] {
        ereport(ERROR, (errcode(ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION),
                        errmsg("role \"%s\" may not log in, so its workers could not start", role.c_str()),
                        errhint("Connect as a role with LOGIN and SET ROLE, or ALTER ROLE ... LOGIN.")));
    });
}

void raise_not_allowed(const std::string &message, const std::string &hint) {
    raise([&] {
        ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE), errmsg("%s", message.c_str()),
                        errhint("%s", hint.c_str())));
    });
}

const char *const kTimedOut = "canceling statement due to statement timeout";

void raise_timed_out() {
    raise([] { ereport(ERROR, (errcode(ERRCODE_QUERY_CANCELED), errmsg("%s", kTimedOut))); });
}

void raise_worker_ended() {
    raise([] {
        ereport(ERROR,
                (errcode(kWorkerEnded), errmsg("the tick's coordinator ended before the tick did"),
                 errdetail("Nothing is lost: the jobs it held are reclaimed when their lease ends."),
                 errhint("The server log tells why the background worker \"fairq coordinator\" ended.")));
    });
}

// Raised for a run of another tenant as well: a tenant must not learn which runs other tenants have.
void raise_unknown_run(int64 run) {
    raise([&] {
        ereport(ERROR,
                (errcode(kUnknownRun), errmsg("there is no pipeline run %lld", static_cast<long long>(run)),
                 errhint("Make one with create_pipeline_run; its jobs have to be of its own tenant.")));
    });
}

void raise_row_swallowed(const char *table) {
    raise([&] {
        ereport(
            ERROR,
            (errcode(kRowSwallowed), errmsg("table %s did not take a change", table),
             errdetail("A trigger that returns NULL, or a rule, swallowed it. Nothing of this call has been "
                       "done."),
             errhint("Look at the triggers and rules of %s: what the queue writes has to pass.", table)));
    });
}

void raise_no_value(const char *statement, size_t rows, size_t row, int column) {
    raise([&] {
        elog(ERROR, "column %d of row %zu of %zu is missing in what a statement returned: %.200s", column,
             row + 1, rows, statement);
    });
}

void raise_not_installed() {
    raise([] {
        ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                        errmsg("the tables of fairq are not in the schema of its functions"),
                        errhint("Reinstall the extension: DROP EXTENSION fairq; CREATE EXTENSION fairq.")));
    });
}

void raise_other_version(const std::string &library, const std::string &script) {
    raise([&] {
        ereport(
            ERROR,
            (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
             errmsg("the library of fairq is version %s, and the extension in this database is version %s",
                    library.c_str(), script.c_str()),
             errhint("Run ALTER EXTENSION fairq UPDATE; if the library is the older one, connect again, and "
                     "restart a server that preloads it.")));
    });
}

void raise_missing_relation(const char *name) {
    raise([&] {
        ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                        errmsg("relation %s of fairq is missing", name),
                        errhint("Make it again: the extension's script has its definition.")));
    });
}

void raise_refused_ddl(const std::string &message, const std::string &hint) {
    raise([&] {
        ereport(ERROR, (errcode(MAKE_SQLSTATE('J', 'Q', '0', '1', '8')), errmsg("%s", message.c_str()),
                        errhint("%s", hint.c_str())));
    });
}

void raise_altered_index(const char *index, const char *definition) {
    raise([&] {
        ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                        errmsg("index %s of fairq has been replaced by another", index),
                        errhint("Drop that one, and make it again: CREATE INDEX %s %s", index, definition)));
    });
}

bool is_lease_lost(const ErrorText &error) {
    return error.code == kLeaseLost;
}

bool may_be_of_one_row(const ErrorText &error) {
    constexpr int kOfAll[] = {ERRCODE_FEATURE_NOT_SUPPORTED,  ERRCODE_INVALID_TRANSACTION_STATE,
                              ERRCODE_TRANSACTION_ROLLBACK,   ERRCODE_SYNTAX_ERROR_OR_ACCESS_RULE_VIOLATION,
                              ERRCODE_INSUFFICIENT_RESOURCES, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                              ERRCODE_OPERATOR_INTERVENTION,  ERRCODE_SYSTEM_ERROR,
                              ERRCODE_INTERNAL_ERROR,         kLeaseLost}; // and all others of fairq
    return std::none_of(std::begin(kOfAll), std::end(kOfAll), [&](int code) {
        return ERRCODE_TO_CATEGORY(code) == ERRCODE_TO_CATEGORY(error.code);
    });
}

void raise_copied(const ErrorText &error) {
    raise([&] {
        ereport(ERROR, (errcode(error.code), errmsg("%s", error.message),
                        error.detail[0] ? errdetail("%s", error.detail) : 0,
                        error.hint[0] ? errhint("%s", error.hint) : 0));
    });
}

std::string sqlstate_of(const ErrorText &error) {
    return unpack_sql_state(error.code);
}

void log_housekeeping_failure(const std::string &step, const std::string &what, const ErrorText &error) {
    call([&] {
        ereport(LOG,
                (errcode(error.code),
                 what.empty() ? errmsg("fairq: housekeeping failed (%s): %s", step.c_str(), error.message)
                              : errmsg("fairq: housekeeping failed (%s of %s): %s", step.c_str(),
                                       what.c_str(), error.message),
                 error.detail[0] ? errdetail("%s", error.detail) : 0,
                 errhint("All else goes on. It is tried again and again; table housekeeping_failures has "
                         "what fails for a job, a run or a lease."),
                 errhidestmt(true), errhidecontext(true)));
    });
}

void log_no_worker_slot(const char *consequence) {
    call([&] {
        ereport(LOG, (errmsg("fairq: %s, for want of a background process", consequence),
                      errhint("Raise max_worker_processes (now %d).", max_worker_processes)));
    });
}

void log_failure(const char *consequence, const ErrorText &error) {
    if (error.code == ERRCODE_LOCK_NOT_AVAILABLE)
        return;
    call([&] {
        ereport(LOG, (errmsg("fairq: %s: %s", consequence, error.message),
                      error.detail[0] ? errdetail_internal("%s", error.detail) : 0));
    });
}

void warn_fewer_workers(int got, int wanted) {
    call([&] {
        ereport(WARNING, (errmsg("the tick runs with %d of %d workers", got, wanted),
                          errhint("Raise max_worker_processes (now %d).", max_worker_processes)));
    });
}

void log_gone_handler(const std::string &job_type, const std::string &defect) {
    call([&] {
        if (defect.empty())
            ereport(LOG, (errmsg("the handler of job type \"%s\" can run again", job_type.c_str())));
        else
            ereport(
                WARNING,
                (errmsg("the handler of job type \"%s\" cannot run: %s", job_type.c_str(), defect.c_str()),
                 errdetail("No tick takes jobs of this type."),
                 errhint("Put it right, or call register_job_handler or unregister_job_handler.")));
    });
}

} // namespace fairq::pg
