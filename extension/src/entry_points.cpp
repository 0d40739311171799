// What PostgreSQL calls by itself: triggers on small tables, the event trigger, and the main functions of background processes.
#include "pg/pg.hpp"
#include "pg/table_cache.hpp"
#include "queue/limits.hpp"
#include "queue/queue.hpp"
#include "tables/ddl_check.hpp"
#include "ticks/ticks.hpp"

using namespace fairq;

// After any change of a table whose rows sessions keep a copy of.
FAIRQ_FUNCTION(fairq_table_changed) {
    Oid const table = pg::table_cache::changed_by_trigger(fcinfo);
    pg::use_schema(pg::call([&] { return get_func_namespace(fcinfo->flinfo->fn_oid); }));
    queue::rules_written(table);
    PG_RETURN_POINTER(nullptr);
}

FAIRQ_FUNCTION(fairq_check_ddl) {
    tables::check_ddl(fcinfo, pg::call([&] { return get_func_namespace(fcinfo->flinfo->fn_oid); }));
    PG_RETURN_NULL();
}

extern "C" {

// Of a tick's processes.
PGDLLEXPORT void fairq_tick_process(Datum segment);
void fairq_tick_process(Datum segment) {
    pg::entry([&] { ticks::process_main(segment, {ticks::coordinate, ticks::work}); });
}

PGDLLEXPORT void fairq_partition_maker(Datum schema);
void fairq_partition_maker(Datum schema) {
    pg::entry([&] { queue::partition_maker(DatumGetObjectId(schema)); });
}
}
