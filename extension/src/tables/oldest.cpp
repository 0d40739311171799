// The oldest queued job, at a bounded cost (see oldest.hpp).
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
    Reader(Oid schema, const char *index, int conditions, bool load_test_only)
        : load_test_only_(load_test_only),
          scan_(open_for_scan(schema, "job_live", index), conditions, pg::IndexScan::Sees::statement),
          queued_(status_datum(schema, "queued")) {}

    // The column `time` of the first queued job among the next `most` jobs. ended: whether there were fewer jobs.
    std::optional<TimestampTz> first_queued(Column time, int64 most, bool &ended) {
        ended = false;
        for (int64 looked_at = 0; looked_at < most; ++looked_at) {
            if (!scan_.next()) {
                ended = true;
                return std::nullopt;
            }
            if (scan_.value(kStatus).datum == queued_ && (!load_test_only_ || text(kType) == kLoadTest))
                return DatumGetTimestampTz(scan_.value(time).datum);
        }
        return std::nullopt;
    }

    void start() { scan_.start({}); }

    void start_lane(core::LaneName lane) {
        scan_.start({{1, BTEqualStrategyNumber, F_TEXTEQ, pg::of(lane.queue).datum},
                     {2, BTEqualStrategyNumber, F_TEXTEQ, pg::of(lane.tenant).datum}});
    }

    // The first lane after `after` that has a job: of the same queue, or of the next ones; or none.
    std::optional<core::OwnLaneName> next_lane(core::LaneName after) {
        scan_.start({{1, BTEqualStrategyNumber, F_TEXTEQ, pg::of(after.queue).datum},
                     {2, BTGreaterStrategyNumber, F_TEXT_GT, pg::of(after.tenant).datum}});
        bool found = scan_.next();
        if (!found) {
            scan_.start({{1, BTGreaterStrategyNumber, F_TEXT_GT, pg::of(after.queue).datum},
                         {2, BTGreaterStrategyNumber, F_TEXT_GT, pg::of(std::string_view()).datum}});
            found = scan_.next();
        }
        return found ? std::optional(core::OwnLaneName({text(kQueue), text(kTenant)})) : std::nullopt;
    }

    void finish() { scan_.close(); }

private:
    std::string_view text(Column column) { return pg::text_of(scan_.value(column).datum); }

    bool load_test_only_;
    pg::IndexScan scan_;
    Datum queued_; // looked up under the table's lock
};

// The oldest of the lanes' first queued jobs. A lane is in the order of priorities, then of positions, so its first
// job is mostly its oldest.
std::optional<TimestampTz> oldest_by_lanes(Oid schema, bool load_test_only) {
    Reader reader(schema, "job_live_lane", 2, load_test_only);
    std::optional<TimestampTz> oldest;
    std::optional<core::OwnLaneName> lane(core::LaneName{});
    for (int looked_at = 0; looked_at < kLanesLookedAt && (lane = reader.next_lane(*lane)); ++looked_at) {
        reader.start_lane(*lane);
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
    reader.start();
    bool ended = false;
    std::optional<TimestampTz> const oldest = reader.first_queued(kCreatedAt, kJobsLookedAt, ended);
    reader.finish();
    return oldest || ended ? oldest : oldest_by_lanes(schema, load_test_only);
}

std::vector<std::optional<TimestampTz>> lane_fronts(Oid schema, const std::vector<LaneFront> &lanes) {
    std::vector<std::optional<TimestampTz>> fronts;
    Reader reader(schema, "job_live_lane", 2, false);
    for (LaneFront const &lane : lanes) {
        reader.start_lane(lane.lane);
        bool ended = false;
        fronts.push_back(reader.first_queued(kUpdatedAt, lane.running + kJobsPerLane, ended));
    }
    reader.finish();
    return fronts;
}

} // namespace fairq::tables
