// The library as PostgreSQL loads it: magic, settings, shared memory. Nothing here can throw.
#include "pg/async_commit.hpp"
#include "pg/script_version.hpp"
#include "pg/settings.hpp"
#include "pg/spi.hpp"
#include "pg/table_cache.hpp"
#include "shared/counters.hpp"
#include "shared/queue_state.hpp"
#include "shared/ring/queued_counts.hpp"
#include "shared/ring/ring.hpp"
#include "shared/waiters/waiters.hpp"
#include "tables/live_columns.hpp"

extern "C" {
#if PG_VERSION_NUM >= 180000
PG_MODULE_MAGIC_EXT(.name = "fairq", .version = FAIRQ_VERSION);
#else
extern PGDLLEXPORT const Pg_magic_struct *PG_MAGIC_FUNCTION_NAME(void);
PG_MODULE_MAGIC;
#endif

PGDLLEXPORT void _PG_init(void);

void _PG_init(void) {
    if (process_shared_preload_libraries_in_progress) {
        fairq::pg::shared_memory::define_settings();
        fairq::shared::ring::define_settings();
    }
    fairq::pg::settings::define();
    if (IsBinaryUpgrade)
        return;
    // Without the preload everything works, only slower: see shared/queue_state.hpp.
    if (process_shared_preload_libraries_in_progress) {
        fairq::pg::shared_memory::install_hooks({&fairq::shared::queue_state::segment,
                                                 &fairq::shared::ring::segment,
                                                 &fairq::shared::waiters::segment});
        // The waiters' come first, so that they run last: callbacks run in the opposite order.
        fairq::shared::waiters::install_callbacks();
        fairq::shared::ring::install_callbacks();
        fairq::shared::counters::install_callbacks();
        fairq::shared::queued_counts::install_callbacks();
    }
    fairq::pg::table_cache::install_callbacks();
    fairq::tables::install_name_callbacks();
    fairq::pg::async_commit::install_callbacks();
    fairq::pg::install_planner_hook();
    fairq::pg::install_version_callbacks();
}
}
