// The library as PostgreSQL loads it: magic, settings, shared memory. Nothing here can throw.
#include "pg/ring.hpp"

#include "pg/async_commit.hpp"
#include "pg/counters.hpp"
#include "pg/live_columns.hpp"
#include "pg/ring_depths.hpp"
#include "pg/settings.hpp"
#include "pg/shared_state.hpp"
#include "pg/spi.hpp"
#include "pg/table_cache.hpp"
#include "pg/waiters.hpp"

extern "C" {
#if PG_VERSION_NUM >= 180000
PG_MODULE_MAGIC_EXT(.name = "fairq", .version = FAIRQ_VERSION);
#else
extern PGDLLEXPORT const Pg_magic_struct *PG_MAGIC_FUNCTION_NAME(void);
PG_MODULE_MAGIC;
#endif

PGDLLEXPORT void _PG_init(void);

void _PG_init(void) {
    if (process_shared_preload_libraries_in_progress)
        fairq::pg::ring::define_settings();
    fairq::pg::settings::define();
    if (IsBinaryUpgrade)
        return;
    // Without the preload everything works, only slower: see pg/shared_state.hpp.
    if (process_shared_preload_libraries_in_progress) {
        fairq::pg::shared_memory::install_hooks(
            {&fairq::pg::shared_state::segment, &fairq::pg::ring::segment, &fairq::pg::waiters::segment});
        fairq::pg::waiters::install_callbacks(); // first: callbacks run in the opposite order
        fairq::pg::ring::install_callbacks();
        fairq::pg::counters::install_callbacks();
        fairq::pg::depths::install_callbacks();
    }
    fairq::pg::table_cache::install_callbacks();
    fairq::pg::install_name_callbacks();
    fairq::pg::async_commit::install_callbacks();
    fairq::pg::install_planner_hook();
}
}
