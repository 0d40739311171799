// job_live below SQL: the walk over its lane index, and the claim of a row. SQL cannot skip from tenant to tenant
// by one index descent each, nor update a row that is already locked without planning and without an executor.
#pragma once

#include "core/job_types.hpp"
#include "core/skip_ranges.hpp"
#include "pg/batch_insert.hpp"
#include "tables/key_locks.hpp"
#include "tables/lane_reader.hpp"
#include "tables/live_columns.hpp"

#include <unordered_set>

namespace fairq::tables {

// Of which queue a claim takes jobs, and how it changes their rows.
struct ClaimStamp {
    std::string_view queue, worker;
    int64 lock_token;
    TimestampTz at;
};

struct ClaimedJob {
    int64 id;
    bool load_test;
    int lane;            // which of the claim's lanes it came from
    TimestampTz since;   // when it came into its lane
    int64 run;           // of a pipeline; 0: none
    ItemPointerData row; // where the claim wrote it; invalid when an SQL statement will write it
};

constexpr int kMostAtOnce = 10000; // entries that a claim looks at in one lane until it notes how far it came

// What a claim asks of one lane.
struct ScanRequest {
    const std::string &tenant;
    int lane; // its number in the claim
    int jobs;
    bool capped;                         // the jobs count for the tenant's cap
    const core::SkipRanges &skip_ranges; // to step over
    core::LaneKey from, to;              // where to look; to: not included
    int ahead;           // how many jobs at the start to leave to other claims, which have drawn them
    core::PageHint hint; // where the last walk along the lane began
    int entries = kMostAtOnce;
};

// What a lane gave. empty: the claim's snapshot sees no other job in it that could be claimed. paused: it sees none but
// jobs whose types are paused.
struct ScanResult {
    int jobs = 0;
    bool empty = true, paused = true;
    int looked_at = 0;                     // entries
    core::LaneKey began = core::kFirstKey; // behind the jobs that the walk left to other claims
    // Where the claim goes on, if the walk stopped so that the claim can note how far it came.
    std::optional<core::LaneKey> next = {};
    std::vector<core::KeyRange> scanned = {}; // where the claim has left nothing to claim
    core::DirtyRanges own = {};               // where the claim has taken jobs, or will park them
    core::PageHint hint = {};                 // where the walk began
};

// A claim in progress. Use: construct, next_lane/take as often as needed, finish. After an error the abort of
// the transaction releases what the claim holds; a destructor must not, because it might raise.
class LiveTable {
public:
    LiveTable(Oid schema, ClaimStamp stamp, const core::JobTypes &types, KeyLocks &keys, ReturnSetInfo *rows);

    // The first tenant after `after` (bytewise) that has an entry of the queue in the lane index, dead or alive; or none.
    // Then hint() is where its lane begins.
    std::optional<std::string> next_lane(std::string_view after) { return reader_.next_lane(after); }
    core::PageHint hint() const { return reader_.hint(); }
    // The last tenant that has an entry of the queue in the lane index; or none.
    std::optional<std::string> last_lane();
    // Takes queued jobs of the tenant, by priority, then position; skips rows that other transactions have
    // locked. Appends the jobs to `taken` and their rows to the tuplestore (when there is one).
    ScanResult take(const ScanRequest &wanted, std::vector<ClaimedJob> &taken);
    // Looks from `key` on into the skip ranges of a lane for jobs that could be claimed and adds them to `found`;
    // `entries` is how many it may look at, and then how many are left. Returns where to go on, or kLastKey.
    core::LaneKey look_into(const std::string &tenant, const core::SkipRanges &skip_ranges, core::LaneKey key,
                            int &entries, std::vector<core::LaneKey> &found);
    void finish();

    // Jobs whose key is busy or whose type is paused. This claim has locked them, and its caller parks them.
    const std::vector<int64> &to_park() const { return to_park_; }
    bool parks_all_it_may() const { return to_park_.size() >= kMostParked; }

    // False when job_live is not as the script made it: then take() only locks, and the caller uses SQL.
    bool direct() const { return direct_; }
    void leave_to_caller() { direct_ = false; }
    // Claims of these jobs were refused lately: take() passes over them.
    void pass_over(const std::vector<int64> &refused) { refused_.insert(refused.begin(), refused.end()); }

private:
    // unavailable: another transaction has the job, or may have it; or the worker does not take its type. paused: its
    // type is paused, and it stays in its lane.
    enum class Look { taken, passed, parked, paused, unavailable };
    static constexpr size_t kMostParked = 1000; // by one claim, some 20 ms; then one more in each lane

    bool is_free();
    Look look(const std::string &tenant, bool capped);
    static void note(Look seen, core::LaneKey key, core::ScannedRanges &scanned, ScanResult &result);
    Look look_at_key(const std::string &tenant);
    Look park();
    bool lock();
    TM_Result update(bool capped, bool wait);
    void fill_changed(bool capped);
    void fill_running();
    void add_index_entries(bool only_summarizing);
    Datum value(Column column) const { return seen_->tts_values[column - 1]; }
    bool is_null(Column column) const { return seen_->tts_isnull[column - 1]; }
    void change(Column column, Datum value, bool null) {
        changed_->tts_values[column - 1] = value;
        changed_->tts_isnull[column - 1] = null;
    }
    int64 id() const { return DatumGetInt64(value(kId)); }
    ClaimedJob claimed(int lane) const;

    Oid schema_;
    ClaimStamp stamp_;
    const core::JobTypes &types_;
    KeyLocks &keys_;
    ReturnSetInfo *rows_;
    Datum worker_;
    Relation table_, lane_;
    Datum queued_, locked_; // values of job_status, looked up under the table's lock
    Snapshot snapshot_;
    LaneReader reader_;
    TupleTableSlot *seen_, *held_, *changed_;
    std::optional<pg::Indexes> indexes_;
    bool direct_;
    std::vector<int64> to_park_;
    std::unordered_set<int64> only_locked_; // jobs that this claim has locked; SQL will park or claim them
    std::unordered_set<int64> refused_;
};

// Whether something of a user's may refuse to change a row of job_live, by an error: a CHECK, a trigger, an index.
bool may_be_refused(Oid schema);

// A value of the enum job_status.
Datum status_datum(Oid schema, const char *label);

// job_live, whose oid identifies the queue. Raises when the extension's tables are gone.
Oid live_table_oid(Oid schema);

} // namespace fairq::tables
