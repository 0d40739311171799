// A walk over all lanes, which ends in each lane after a number of rows that are still there (see dead_ranges.hpp).
#include "tables/dead_ranges.hpp"

#include "tables/lane_reader.hpp"
#include "tables/live_table.hpp"
#include "tables/open_relation.hpp"

namespace fairq::tables {

namespace {

constexpr int kMany = 100;      // dead entries: fewer are not worth a lane in shared memory
constexpr int kMostRows = 1000; // that are still there, in one lane: claims take these first
constexpr int kExpected = 512;  // entries, so that the reader reads whole pages

class DeadLanes {
public:
    DeadLanes(Oid schema, int64 longest)
        : table_(open_table(schema, "job_live", AccessShareLock)),
          lane_(open_index(schema, "job_live_lane", AccessShareLock)), end_(GetCurrentTimestamp() + longest) {
        readable_ = pg::call([&] {
            CommandCounterIncrement();
            PushActiveSnapshot(GetLatestSnapshot());
            row_ = table_slot_create(table_, nullptr);
            bool const readable = LaneReader::reads(lane_, table_);
            if (readable)
                reader_.open(table_, lane_, GetActiveSnapshot());
            return readable;
        });
    }

    std::vector<DeadRanges> find() {
        std::vector<DeadRanges> found;
        std::optional<std::string> queue("");
        while (is_in_time() && (queue = reader_.next_queue(*queue)))
            find_in(*queue, found);
        return found;
    }

    void finish() {
        pg::call([&] {
            if (readable_)
                reader_.finish();
            ExecDropSingleTupleTableSlot(row_);
            PopActiveSnapshot();
            index_close(lane_, NoLock);
            table_close(table_, NoLock);
        });
    }

private:
    bool is_in_time() const { return readable_ && GetCurrentTimestamp() < end_; }

    void find_in(const std::string &queue, std::vector<DeadRanges> &found) {
        reader_.set_queue(queue);
        std::optional<std::string> tenant("");
        while (is_in_time() && (tenant = reader_.next_lane(*tenant))) {
            pg::check_interrupts();
            DeadRanges dead{queue, *tenant, {}};
            if (look_at(dead) >= kMany)
                found.push_back(std::move(dead));
        }
    }

    // Returns how many dead entries it has passed.
    int look_at(DeadRanges &dead) {
        reader_.start(dead.tenant, core::kFirstKey, kExpected, true);
        core::ScannedRanges scanned(core::kFirstKey, dead.ranges);
        int passed = 0, rows = 0;
        std::optional<core::LaneKey> key;
        while (rows < kMostRows && (key = reader_.next())) {
            if (reader_.fetch(row_)) {
                scanned.leave_out(core::range_of(*key));
                ++rows;
                continue;
            }
            scanned.over(*key);
            if (++passed % kExpected == 0 && GetCurrentTimestamp() >= end_)
                break;
        }
        scanned.end();
        return passed;
    }

    Relation table_, lane_;
    TimestampTz end_;
    bool readable_;
    TupleTableSlot *row_;
    LaneReader reader_;
};

} // namespace

std::vector<DeadRanges> dead_ranges(Oid schema, int64 longest) {
    DeadLanes lanes(schema, longest);
    std::vector<DeadRanges> found = lanes.find();
    lanes.finish();
    return found;
}

} // namespace fairq::tables
