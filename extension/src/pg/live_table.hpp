// job_live below SQL: the walk over its lane index, and the claim of a row. This is what SQL cannot do: skip
// from tenant to tenant by one index descent each, and update a tuple that is locked already without
// planning, without an executor.
#pragma once

#include "pg/probes.hpp"

#include <unordered_set>

namespace fairq::pg {

// How a claim changes a row.
struct ClaimMark {
    std::string_view worker;
    int64 lock_token;
    TimestampTz at;
};

// Which jobs a claim may take by their type: all, or those in a sorted list; but for those that are paused.
class JobTypes {
public:
    JobTypes() = default;
    explicit JobTypes(std::vector<std::string> sorted) : any_(false), sorted_(std::move(sorted)) {}
    void pause(std::vector<std::string> sorted) { paused_ = std::move(sorted); }
    bool accepts(std::string_view type) const {
        return any_ || std::binary_search(sorted_.begin(), sorted_.end(), type);
    }
    bool pauses(std::string_view type) const {
        return std::binary_search(paused_.begin(), paused_.end(), type);
    }
    bool any() const { return any_ && paused_.empty(); }

private:
    bool any_ = true;
    std::vector<std::string> sorted_, paused_;
};

// Which concurrency keys a claim may take: one job a key.
class KeyLocks {
public:
    enum class State { free, busy, unknown };
    KeyLocks(Oid queue, Probes &probes) : queue_(queue), probes_(probes) {}
    // free: nobody has it, and nobody can take it until this transaction ends. busy: somebody has it.
    // unknown: this claim has as many locks as it may.
    State take(std::string_view tenant, std::string_view key);
    bool any() const { return locks_ > 0; }

private:
    Oid queue_;
    Probes &probes_;
    int locks_ = 0;
    std::unordered_set<std::string> busy_; // tenant, a zero byte, key; ours too
};

struct ClaimedJob {
    int64 id;
    bool load_test;
    int lane;          // which of the claim's lanes it came from
    TimestampTz since; // when it came into its lane
    int64 run;         // of a pipeline; 0: none
};

// What a lane gave. empty: it has no other job that could be claimed, as far as the claim's snapshot sees.
struct Taken {
    int jobs = 0;
    bool empty = true;
};

// A claim in progress. Use: construct, next_lane/take as often as needed, finish. After an error the
// transaction's abort releases what it holds; nothing here has a destructor to do it.
class LiveTable {
public:
    LiveTable(Oid schema, ClaimMark mark, const JobTypes &types, KeyLocks &keys, ReturnSetInfo *rows);

    // The first tenant after `after` (bytewise) that has an entry in the lane index, dead or alive; or none.
    std::optional<std::string> next_lane(std::string_view after);
    // The last tenant that has one; or none.
    std::optional<std::string> last_lane();
    // Takes up to `wanted` queued jobs of the tenant, by priority, then position; skips rows that others have
    // locked. capped: the jobs count for the tenant's cap. Appends them to `taken` and their rows to the
    // tuplestore (when there is one).
    Taken take(const std::string &tenant, int lane, int wanted, bool capped, std::vector<ClaimedJob> &taken);
    void finish();

    // Jobs that stood in the way, because their key is busy or their type is paused: locked, to be parked.
    const std::vector<int64> &to_park() const { return to_park_; }
    bool parks_all_it_may() const { return to_park_.size() >= kMostParked; }

    // False when job_live carries what a direct update would bypass (a trigger, rule, CHECK, index or row
    // security that is not ours): then take() only locks, and the caller updates the same rows through the
    // executor.
    bool direct() const { return direct_; }

private:
    enum class Look { taken, passed, parked, others }; // others: somebody has the job, or may have it
    static constexpr size_t kMostParked = 1000;        // by one claim, and one a lane: some 20 ms

    std::optional<std::string> lane_found(bool found);
    Look look(const std::string &tenant, bool capped);
    Look look_at_key(const std::string &tenant);
    Look park();
    bool lock(ItemPointer tid);
    void update(bool capped);
    void add_index_entries();
    ClaimedJob claimed(int lane) const;

    ClaimMark mark_;
    const JobTypes &types_;
    KeyLocks &keys_;
    ReturnSetInfo *rows_;
    Datum queued_, locked_, worker_;
    Relation table_, lane_;
    Snapshot snapshot_;
    IndexScanDesc lanes_, jobs_;
    TupleTableSlot *seen_, *held_, *changed_;
    EState *executor_ = nullptr;
    ResultRelInfo *indexes_ = nullptr;
    bool direct_;
    std::vector<int64> to_park_;
    std::unordered_set<int64> only_locked_; // by this claim, and not updated yet: parked, or for the executor
};

// created_at of the oldest queued job (of type load_test only, if asked), or none. By id, which is the order
// of enqueue. Bounded: behind 10,000 older jobs that are not queued it is the oldest at the fronts of 1,000
// lanes.
std::optional<TimestampTz> oldest_queued(Oid schema, bool load_test_only);

// Since when the first queued job of each lane can be claimed; none for a lane where it is not soon behind
// the jobs that are running, of which there are about so many.
struct LaneFront {
    std::string_view tenant;
    int64 running;
};
std::vector<std::optional<TimestampTz>> lane_fronts(Oid schema, const std::vector<LaneFront> &lanes);

// A value of the enum job_status.
Datum status_datum(Oid schema, const char *label);

// Identity of the queue: its table. Raises when the extension's tables are gone.
Oid live_table_oid(Oid schema);

} // namespace fairq::pg
