// How many jobs are in which status, at a cost that has a bound whatever the size of the tables. Small tables are counted
// by each call. For larger ones shared memory keeps numbers, to which every commit adds its changes. Where it has lost
// them (a restart, no preload), a part that is not too large is counted, and another one is estimated.
#include "metrics/metrics.hpp"

#include "core/elapsed.hpp"

namespace fairq::metrics {

namespace {

// SQL is laid out by hand.
// clang-format off

// job_live, job_history, partitions at most → their bytes; NULL for a history of more partitions
const pg::Statement kSizes{pg::Plan::pinned, R"(
SELECT pg_relation_size($1::oid),
       (SELECT CASE WHEN count(*) <= $3 THEN coalesce(sum(pg_relation_size(p.inhrelid)), 0)::bigint END
          FROM (SELECT inhrelid FROM pg_inherits WHERE inhparent = $2::oid LIMIT $3 + 1) AS p))", {INT8OID, INT8OID, INT8OID}};
struct Size {
    enum Column { live = 1, history };
};

// → status, jobs, load-test jobs, tenant and queue (of queued jobs); reads the whole table
const pg::Statement kCountLive{pg::Plan::open, R"(
SELECT array_position(enum_range(NULL::@job_status), status) - 1, count(*), count(*) FILTER (WHERE job_type = 'load_test'),
       CASE WHEN status = 'queued' THEN tenant_id END, CASE WHEN status = 'queued' THEN queue END
  FROM @job_live GROUP BY status, 4, 5)"};
const pg::Statement kCountHistory{pg::Plan::open, R"(
SELECT array_position(enum_range(NULL::@job_status), status) - 1, count(*), count(*) FILTER (WHERE job_type = 'load_test'),
       NULL::text
  FROM @job_history GROUP BY status)"};

// a table, the status of its jobs where nothing is known → the same for the table, or for its partitions, from what
// ANALYZE knows. As in the planner, a table has the density that it had then. Reads no job.
const pg::Statement kEstimate{pg::Plan::open, R"(
SELECT array_position(enum_range(NULL::@job_status), s.status::@job_status) - 1, round(sum(r.jobs * s.part))::bigint,
       round(sum(r.jobs * s.part * t.part))::bigint, NULL::text
  FROM (SELECT n.nspname, c.relname,
               CASE WHEN c.relpages > 0 AND c.reltuples >= 0 THEN c.reltuples::float8 / c.relpages * b.blocks ELSE b.blocks * 30.0 END AS jobs
          FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace,
               LATERAL (SELECT coalesce(pg_relation_size(c.oid), 0) / current_setting('block_size')::integer AS blocks) AS b
         WHERE (c.oid = $1::oid AND c.relkind = 'r') OR c.oid IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = $1::oid)) AS r
 CROSS JOIN LATERAL (
        SELECT m.status, m.part::float8
          FROM pg_stats a, unnest(a.most_common_vals::text::text[], a.most_common_freqs) AS m (status, part)
         WHERE a.schemaname = r.nspname AND a.tablename = r.relname AND a.attname = 'status'
         UNION ALL
        SELECT $2, 1
         WHERE NOT EXISTS (SELECT FROM pg_stats a WHERE a.schemaname = r.nspname AND a.tablename = r.relname AND a.attname = 'status'
                              AND a.most_common_vals IS NOT NULL)) AS s
 CROSS JOIN LATERAL (
        SELECT coalesce(max(m.part), 0)::float8 AS part
          FROM pg_stats a, unnest(a.most_common_vals::text::text[], a.most_common_freqs) AS m (type, part)
         WHERE a.schemaname = r.nspname AND a.tablename = r.relname AND a.attname = 'job_type' AND m.type = 'load_test') AS t
 GROUP BY s.status)", {INT8OID, TEXTOID}};

// clang-format on

using core::CountBy;
using core::Known;
using shared::queue_state::KnownCounts;
using shared::queue_state::kParts;

constexpr int kLive = static_cast<int>(shared::queue_state::Part::live);
constexpr int kHistory = static_cast<int>(shared::queue_state::Part::history);

// Up to which size a part is counted: a million jobs take a third of a second. `kept`: the numbers can be kept, so that
// is done once; else with each call.
constexpr int64 kMegabyte = 1024 * 1024;
constexpr int64 kMostKept[kParts] = {512 * kMegabyte, 64 * kMegabyte};
constexpr int64 kMostUnkept[kParts] = {32 * kMegabyte, 8 * kMegabyte};
constexpr int64 kMostPartitions = 64;

constexpr int kPatienceMs = 20;                       // for a moment without writers
constexpr int64 kCountAgain = 5 * 60 * core::kSecond; // for what was written directly to the tables

// Bytes of each part; none: it has too many partitions.
using Sizes = std::array<std::optional<int64>, kParts>;

Sizes sizes_of(Oid live, Oid history) {
    return pg::with_spi([&]() -> Sizes {
        pg::Rows const size =
            pg::execute(kSizes, {pg::of(int64{live}), pg::of(int64{history}), pg::of(kMostPartitions)});
        return {size.is_null(0, Size::live) ? std::nullopt : std::optional(size.int64_at(0, Size::live)),
                size.is_null(0, Size::history) ? std::nullopt
                                               : std::optional(size.int64_at(0, Size::history))};
    });
}

using Plan = std::array<CountBy, kParts>;

Plan plan_for(const KnownCounts &known, const Sizes &sizes, const int64 (&most)[kParts]) {
    TimestampTz const now = pg::now();
    Plan plan{};
    for (size_t part = 0; part < plan.size(); ++part) {
        bool const due = core::has_elapsed(kCountAgain, known.counted_at[part], now);
        plan[part] = core::count_by(known.known[part], sizes[part] && *sizes[part] <= most[part], due);
    }
    return plan;
}

bool is_all(const Plan &plan, CountBy how) {
    return plan[kLive] == how && plan[kHistory] == how;
}

struct Counted {
    shared::StatusCounts jobs;
    std::optional<QueuedCounts> queued; // when job_live was counted
};

void add(Counted &counted, const pg::Rows &rows) {
    for (size_t row = 0; row < rows.size(); ++row) {
        int32 const status = rows.int32_at(row, queue::Moves::old_status);
        counted.jobs.by_status[0][status] += rows.int64_at(row, queue::Moves::jobs);
        counted.jobs.by_status[1][status] += rows.int64_at(row, queue::Moves::load_test_jobs);
        if (!rows.is_null(row, queue::Moves::tenant))
            counted.queued->emplace(core::LaneName{rows.text_at(row, queue::Moves::queue),
                                                   rows.text_at(row, queue::Moves::tenant)},
                                    rows.int64_at(row, queue::Moves::jobs));
    }
}

pg::Value name_as_value(core::JobStatus status) {
    return pg::of(std::string_view(core::name_of(status)));
}

// As of the active snapshot; nothing for parts that are kept.
Counted count(const Plan &plan) {
    return pg::with_spi([&] {
        Counted counted;
        if (plan[kLive] == CountBy::counting) {
            counted.queued.emplace();
            add(counted, pg::read_as_of_snapshot(kCountLive));
        } else if (plan[kLive] == CountBy::estimating) {
            Oid const live = tables::live_table_oid(pg::schema());
            add(counted,
                pg::execute(kEstimate, {pg::of(int64{live}), name_as_value(core::JobStatus::queued)}));
        }
        if (plan[kHistory] == CountBy::counting) {
            add(counted, pg::read_as_of_snapshot(kCountHistory));
        } else if (plan[kHistory] == CountBy::estimating) {
            Oid const history = tables::relation_in(pg::schema(), "job_history");
            add(counted,
                pg::execute(kEstimate, {pg::of(int64{history}), name_as_value(core::JobStatus::completed)}));
        }
        return counted;
    });
}

Source source_of(const Plan &plan) {
    return is_all(plan, CountBy::counting) ? Source::counted : Source::estimated;
}

Source source_of(const KnownCounts &known) {
    bool const counted = known.known[kLive] == Known::a_count && known.known[kHistory] == Known::a_count;
    return counted ? Source::kept : Source::estimated;
}

struct FreshCount {
    Oid table;
    Plan plan;
    std::optional<uint64> generation;
    uint64 queued_counts;
};

// Begins a count: from here on every commit adds its changes, and the snapshot has all earlier ones. If a transaction
// commits at this very moment, its changes may be in both.
void begin(void *argument) {
    auto *const count = static_cast<FreshCount *>(argument);
    shared::queue_state::Parts const parts{
        {count->plan[kLive] != CountBy::keeping, count->plan[kHistory] != CountBy::keeping}};
    count->generation = shared::queue_state::begin_count(count->table, parts, GetCurrentTimestamp());
    if (!count->generation)
        return;
    if (count->plan[kLive] == CountBy::counting)
        count->queued_counts = shared::queued_counts::begin_count(count->table);
    PushActiveSnapshot(GetLatestSnapshot());
}

// Puts the numbers into shared memory. None: another session is doing that now.
std::optional<Counts> count_and_keep(Oid table, const Plan &plan) {
    TimestampTz const now = pg::now();
    FreshCount fresh{table, plan, std::nullopt, 0};
    if (!pg::without_writers(table, kPatienceMs, begin, &fresh))
        pg::call([&] { begin(&fresh); });
    if (!fresh.generation)
        return std::nullopt;
    Counted counted = count(plan);
    pg::call([] { PopActiveSnapshot(); });
    Known known[kParts];
    for (int part = 0; part < kParts; ++part)
        known[part] =
            plan[static_cast<size_t>(part)] == CountBy::counting ? Known::a_count : Known::an_estimate;
    shared::queue_state::end_count(table, *fresh.generation, counted.jobs, known, now);
    if (counted.queued)
        shared::queued_counts::end_count(table, fresh.queued_counts, *counted.queued);
    if (is_all(plan, CountBy::counting))
        return Counts{counted.jobs, Source::counted, std::move(counted.queued)};
    KnownCounts const kept = shared::queue_state::read(table);
    return Counts{kept.counts, source_of(kept), std::move(counted.queued)};
}

// Where the numbers cannot be kept, each call counts or estimates for itself.
Counts count_unkept(const Sizes &sizes) {
    Plan const plan = plan_for({}, sizes, kMostUnkept);
    Counted counted = count(plan);
    return {counted.jobs, source_of(plan), std::move(counted.queued)};
}

void add(shared::StatusCounts &counts, const shared::StatusCounts &more) {
    for (int kind = 0; kind < 2; ++kind)
        for (size_t status = 0; status < core::kStatuses; ++status)
            counts.by_status[kind][status] += more.by_status[kind][status];
}

} // namespace

std::string_view name_of(Source source) {
    constexpr std::string_view kNames[] = {"counted", "kept", "estimated"};
    return kNames[static_cast<size_t>(source)];
}

Counts counts(bool by_tenant) {
    Oid const table = tables::live_table_oid(pg::schema());
    Sizes const sizes = sizes_of(table, tables::relation_in(pg::schema(), "job_history"));
    if (sizes[kLive] && sizes[kHistory] &&
        *sizes[kLive] + *sizes[kHistory] < pg::settings::metrics_count_limit()) {
        Counted counted = count({CountBy::counting, CountBy::counting});
        return {counted.jobs, Source::counted, std::move(counted.queued)};
    }
    std::optional<shared::StatusCounts> const own_changes = shared::counters::pending();
    bool const can_keep =
        shared::queue_state::available() && !RecoveryInProgress() && !IsolationUsesXactSnapshot();
    if (!can_keep)
        return count_unkept(sizes);
    KnownCounts kept = shared::queue_state::read(table);
    Plan plan = plan_for(kept, sizes, kMostKept);
    int64 const most = shared::ring::available() ? kMostKept[kLive] : kMostUnkept[kLive];
    if (by_tenant && !shared::ring::queued_counts_known(table) && sizes[kLive] && *sizes[kLive] <= most)
        plan[kLive] = CountBy::counting;
    if (!is_all(plan, CountBy::keeping)) {
        std::optional<Counts> counted = own_changes ? std::nullopt : count_and_keep(table, plan);
        return counted ? *std::move(counted) : count_unkept(sizes);
    }
    if (own_changes)
        add(kept.counts, *own_changes);
    return {kept.counts, source_of(kept), std::nullopt};
}

} // namespace fairq::metrics
