// The oldest queued job, at a bounded cost: by the primary key, as long as what is older and not queued is
// not too much; else by the fronts of the lanes.
#include "tables/oldest.hpp"

#include "tables/live_columns.hpp"
#include "tables/live_table.hpp"
#include "tables/open_relation.hpp"

namespace fairq::tables {

namespace {

constexpr int kJobsLookedAt = 10000;
constexpr int kLanesLookedAt = 1000;
constexpr int kJobsPerLane = 100;

// A walk over an index of job_live under one snapshot, reading rows.
class Reader {
public:
    Reader(Oid schema, const char *index, int keys, bool load_test_only)
        : keys_(keys), load_test_only_(load_test_only) {
        table_ = open_table(schema, "job_live", AccessShareLock);
        index_ = open_index(schema, index, AccessShareLock);
        queued_ = status_datum(schema, "queued");
        pg::call([&] {
            slot_ = table_slot_create(table_, nullptr);
            PushActiveSnapshot(GetTransactionSnapshot());
            scan_ = pg::compat::index_beginscan(table_, index_, GetActiveSnapshot(), keys_);
        });
    }

    void start(ScanKey keys) {
        pg::call([&] { index_rescan(scan_, keys, keys_, nullptr, 0); });
    }

    bool next() {
        pg::check_interrupts();
        return pg::call([&] { return index_getnext_slot(scan_, ForwardScanDirection, slot_); });
    }

    // Of the first queued job among the next `most`; ended: whether there were no more than that.
    std::optional<TimestampTz> first_queued(Column time, int64 most, bool &ended) {
        ended = false;
        for (int64 looked_at = 0; looked_at < most; ++looked_at) {
            if (!next()) {
                ended = true;
                return std::nullopt;
            }
            if (value(kStatus) == queued_ && (!load_test_only_ || text_in(slot_, kType) == kLoadTest))
                return DatumGetTimestampTz(value(time));
        }
        return std::nullopt;
    }

    void start_lane(std::string_view tenant) {
        ScanKeyData key;
        tenant_key(&key, BTEqualStrategyNumber, F_TEXTEQ, pg::of(tenant).datum);
        start(&key);
    }

    std::string tenant() { return std::string(text_in(slot_, kTenant)); }

    void finish() {
        pg::call([&] {
            index_endscan(scan_);
            ExecDropSingleTupleTableSlot(slot_);
            PopActiveSnapshot();
            index_close(index_, AccessShareLock);
            table_close(table_, AccessShareLock);
        });
    }

private:
    Datum value(Column column) {
        bool null = false;
        return pg::call([&] { return slot_getattr(slot_, column, &null); });
    }

    int keys_;
    bool load_test_only_;
    Datum queued_;
    Relation table_, index_;
    IndexScanDesc scan_;
    TupleTableSlot *slot_;
};

// The oldest of the lanes' first queued jobs: within a lane they stand by priority, then by the time they
// came.
std::optional<TimestampTz> oldest_by_lanes(Oid schema, bool load_test_only) {
    Reader reader(schema, "job_live_lane", 1, load_test_only);
    std::optional<TimestampTz> oldest;
    ScanKeyData key;
    std::string tenant;
    for (int lane = 0; lane < kLanesLookedAt; ++lane) {
        tenant_key(&key, BTGreaterStrategyNumber, F_TEXT_GT, pg::of(std::string_view(tenant)).datum);
        reader.start(&key);
        if (!reader.next())
            break;
        tenant = reader.tenant();
        reader.start_lane(tenant);
        bool ended = false;
        std::optional<TimestampTz> const first = reader.first_queued(kCreatedAt, kJobsPerLane, ended);
        if (first && (!oldest || *first < *oldest))
            oldest = first;
    }
    reader.finish();
    return oldest;
}

} // namespace

std::optional<TimestampTz> oldest_queued(Oid schema, bool load_test_only) {
    Reader reader(schema, "job_live_pkey", 0, load_test_only);
    reader.start(nullptr);
    bool ended = false;
    std::optional<TimestampTz> const oldest = reader.first_queued(kCreatedAt, kJobsLookedAt, ended);
    reader.finish();
    return oldest || ended ? oldest : oldest_by_lanes(schema, load_test_only);
}

std::vector<std::optional<TimestampTz>> lane_fronts(Oid schema, const std::vector<LaneFront> &lanes) {
    std::vector<std::optional<TimestampTz>> fronts;
    Reader reader(schema, "job_live_lane", 1, false);
    for (LaneFront const &lane : lanes) {
        reader.start_lane(lane.tenant);
        bool ended = false;
        fronts.push_back(reader.first_queued(kUpdatedAt, lane.running + kJobsPerLane, ended));
    }
    reader.finish();
    return fronts;
}

} // namespace fairq::tables
