// Starting background processes (see background.hpp).
#include "pg/background.hpp"

namespace fairq::pg {

bool start_background(const char *function, const char *name, Oid argument) {
    BackgroundWorker worker{};
    worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
    worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
    worker.bgw_restart_time = BGW_NEVER_RESTART;
    worker.bgw_main_arg = ObjectIdGetDatum(argument);
    strlcpy(worker.bgw_library_name, "fairq", sizeof worker.bgw_library_name);
    strlcpy(worker.bgw_function_name, function, sizeof worker.bgw_function_name);
    strlcpy(worker.bgw_type, name, sizeof worker.bgw_type);
    strlcpy(worker.bgw_name, name, sizeof worker.bgw_name);
    memcpy(worker.bgw_extra, &MyDatabaseId, sizeof MyDatabaseId);
    return call([&] { return RegisterDynamicBackgroundWorker(&worker, nullptr); });
}

void begin_background() {
    Oid database = InvalidOid;
    memcpy(&database, MyBgworkerEntry->bgw_extra, sizeof database);
    call([&] {
        pqsignal(SIGTERM, die);
        BackgroundWorkerUnblockSignals();
        BackgroundWorkerInitializeConnectionByOid(database, InvalidOid, 0);
    });
}

} // namespace fairq::pg
