// job_live below SQL: the walk over its lane index, and the claim of a row. This is what SQL cannot do: skip
// from tenant to tenant by one index descent each, and update a tuple that is locked already without
// planning, without an executor.
#pragma once

#include "pg/values.hpp"

namespace fairq::pg {

// How a claim changes a row.
struct ClaimMark {
    std::string_view worker;
    int64 lock_token;
    TimestampTz at;
};

// Which jobs a claim may take by their type: all, or those in a sorted list.
class JobTypes {
public:
    JobTypes() = default;
    explicit JobTypes(std::vector<std::string> sorted) : any_(false), sorted_(std::move(sorted)) {}
    bool accepts(std::string_view type) const {
        return any_ || std::binary_search(sorted_.begin(), sorted_.end(), type);
    }
    bool any() const { return any_; }

private:
    bool any_ = true;
    std::vector<std::string> sorted_;
};

struct ClaimedJob {
    int64 id;
    bool load_test;
    int lane;  // which of the claim's lanes it came from
    int64 run; // of a pipeline; 0: none
};

// A claim in progress. Use: construct, next_lane/take as often as needed, finish. After an error the
// transaction's abort releases what it holds; nothing here has a destructor to do it.
class LiveTable {
public:
    LiveTable(Oid schema, ClaimMark mark, const JobTypes &types, ReturnSetInfo *rows);

    // The first tenant after `after` (bytewise) that has an entry in the lane index, dead or alive; or none.
    std::optional<std::string> next_lane(std::string_view after);
    // The last tenant that has one; or none.
    std::optional<std::string> last_lane();
    // Takes up to `wanted` queued jobs of the tenant, by priority, then position; skips rows that others have
    // locked. Appends them to `taken` and their rows to the tuplestore (when there is one). Returns how many.
    int take(const std::string &tenant, int lane, int wanted, std::vector<ClaimedJob> &taken);
    void finish();

    // False when job_live carries what a direct update would bypass (a trigger, rule, CHECK, index or row
    // security that is not ours): then take() only locks, and the caller updates the same rows through the
    // executor.
    bool direct() const { return direct_; }

private:
    std::optional<std::string> lane_found(bool found);
    bool lock(ItemPointer tid);
    void update();
    void add_index_entries();
    ClaimedJob claimed(int lane) const;

    ClaimMark mark_;
    const JobTypes &types_;
    ReturnSetInfo *rows_;
    Datum queued_, locked_, worker_;
    Relation table_, lane_;
    Snapshot snapshot_;
    IndexScanDesc lanes_, jobs_;
    TupleTableSlot *seen_, *held_, *changed_;
    EState *executor_ = nullptr;
    ResultRelInfo *indexes_ = nullptr;
    bool direct_;
};

// created_at of the oldest queued job (of type load_test only, if asked), or none. By id, which is the order
// of enqueue. Bounded: behind 10,000 older jobs that are not queued it is the oldest at the fronts of 1,000
// lanes.
std::optional<TimestampTz> oldest_queued(Oid schema, bool load_test_only);

// A value of the enum job_status.
Datum status_datum(Oid schema, const char *label);

// Identity of the queue: its table. Raises when the extension's tables are gone.
Oid live_table_oid(Oid schema);

} // namespace fairq::pg
