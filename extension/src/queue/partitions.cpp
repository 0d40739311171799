// The daily partitions of job_history: housekeeping makes them ahead of time, and moves rows out of the default partition. A
// claim does not do it itself. Its transaction would hold the locks of the DDL until it ends, and nobody could finish a job or
// read the history meanwhile. So it starts a background process, which makes them in transactions of its own.
#include "pg/background.hpp"
#include "queue/internal.hpp"
#include "tables/history.hpp"
#include "tables/live_table.hpp"
#include "tables/owner.hpp"

namespace fairq::queue {

namespace {

// SQL is laid out by hand.
// clang-format off

// days ahead → how many were made, and whether the next call has to finish what this one began. With its argument: a call
// that leaves it to the default could mean another function in the same schema.
const pg::Statement kMakePartitions{pg::Plan::open,
    "SELECT @make_history_partitions($1), @fairq_is_thinning_out()", {INT4OID}};
struct MadePartitions {
    enum Column { made = 1, unfinished };
};

// clang-format on

constexpr int64 kLookInterval = 60 * core::kSecond;
constexpr int kMostSteps = 1000; // of one process
constexpr int kLockTimeoutMs = 1000;

// False: there is nothing more to do now.
bool one_step() {
    return pg::with_spi([] {
        pg::Rows const rows =
            pg::execute(kMakePartitions, {pg::of(int32{pg::settings::history_days_ahead()})});
        return rows.int32_at(0, MadePartitions::made) > 0 || rows.bool_at(0, MadePartitions::unfinished);
    });
}

} // namespace

void make_partitions() {
    if (pg::settings::history_days_ahead() > 0)
        one_step();
}

void ensure_partition() {
    if (!tables::history_takes(pg::schema(), pg::now()))
        one_step();
}

void keep_partitions_ahead() {
    Oid const schema = pg::schema();
    TimestampTz const now = pg::now();
    if (pg::settings::history_days_ahead() == 0 ||
        !shared::queue_state::partitions_are_due(tables::live_table_oid(schema), now, kLookInterval) ||
        tables::history_is_ready(schema, now + core::kDay))
        return;
    if (!pg::start_background("fairq_partition_maker", "fairq partitions", schema))
        pg::log_no_worker_slot("the partitions of job_history are not made");
}

void partition_maker(Oid schema) {
    pg::begin_background();
    pg::use_schema(schema);
    pg::pin_settings(kLockTimeoutMs);
    bool more = true;
    for (int step = 0; more && step < kMostSteps; ++step)
        if (auto const error = pg::try_transaction(
                [&] { pg::as_role(tables::owner_of_extension(schema), [&] { more = one_step(); }); })) {
            pg::log_failure("the partitions of job_history were not made", *error);
            return;
        }
}

} // namespace fairq::queue
