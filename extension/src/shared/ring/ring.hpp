// The ring of a queue knows, in shared memory, which of its lanes (tenants) may have claimable jobs, and which lane
// is served next. A claim draws from it instead of walking over the lane index, so that its cost depends on
// the jobs that it claims, not on the jobs that are queued. The tables are the truth: the ring only saves
// work. It never hides a claimable job that came through the API, because
//   - a transaction that puts a job into a lane enters the lane into the ring when it commits
//     (activate_at_commit), and a claim that emptied a lane does so when it rolls back (activate_at_abort);
//   - a lane leaves only if nothing has entered it since before the claim's own snapshot (Ring::settle);
//   - until a rescan has seen the whole lane index, after a restart or when the ring was full, the ring is
//     not complete(), and claims walk over the index;
//   - claims rescan the lane index, a lane each millisecond, and so find jobs that were written directly to
//     the tables, or lanes whose entry into the ring was lost.
//
// For each lane the ring also remembers its skip ranges, where claims found nothing to claim but finished and
// locked jobs: the next claims step over them. While an old snapshot exists, vacuum leaves the entries of
// finished jobs where they are, and without skip ranges each claim would walk over all of them. Similar rules
// keep skip ranges from hiding a job:
//   - a transaction that makes a job claimable names its range when it commits (activate_at_commit), and a
//     claim the range of what it took when it rolls back (activate_at_abort): skip ranges are cut out there;
//   - what a claim saw becomes a skip range only where the lane is unchanged since before its own snapshot;
//   - a job that a session holds, but can give back without telling the ring, is in no skip range;
//   - the rescan looks into the skip ranges as well, at some 20,000 entries a second.
//
// A lane none of whose jobs can run (its tenant is paused, at its cap or out of tokens, or all its jobs are of
// paused types) is held: claims do not look at it until what holds it may have ended (core/holds.hpp has the rule).
#pragma once

#include "core/histogram.hpp"
#include "core/holds.hpp"
#include "core/lane_name.hpp"
#include "core/limits.hpp"
#include "core/page_hint.hpp"
#include "core/schedule.hpp"
#include "core/skip_ranges.hpp"
#include "pg/shared_memory.hpp"

#include <map>

namespace fairq::shared::ring {

extern const pg::shared_memory::Segment segment;
void define_settings();   // by _PG_init, when preloaded
void install_callbacks(); // by _PG_init, when preloaded

// The lane enters the ring of its queue when this transaction commits; or when it, or a savepoint in it, rolls
// back. `where`: the jobs that can be claimed then.
void activate_at_commit(Oid table, core::LaneName lane, core::KeyRange where);
void activate_at_abort(Oid table, core::LaneName lane, core::KeyRange where);
// For a transaction that has deleted many jobs: when it has committed, these ranges of the lane hold nothing to claim, as a
// snapshot saw that was taken after ring_clocks() were read. Not in a savepoint, whose rollback would take it back.
using Clocks =
    std::map<std::string, std::uint64_t, std::less<>>; // of the queues with this table, by their names
Clocks ring_clocks(Oid table);
void skip_at_commit(Oid table, core::LaneName lane, std::vector<core::KeyRange> ranges, std::uint64_t clock);
// If this transaction, which removes jobs of many lanes, rolls back, all queues lose all their skip ranges.
void forget_skip_ranges_at_abort(Oid table);
// Does at once what would be done at the commit, because a claim sees what its own transaction has done.
void activate_own();
// When this transaction has committed, the tenant's limits may let more jobs run, in each of its queues: a job that
// counted for its cap has ended, or a limit has changed. Or that may be so for all tenants; or jobs of all tenants may run again (HoldReason).
void open_at_commit(Oid table, std::string_view tenant);
void open_all_at_commit(Oid table, core::HoldReason reason);
// This transaction has changed limits or paused types: its claims hold no lane.
void rules_changed(Oid table);
void weigh_at_commit(Oid table, std::string_view tenant, int weight);

// Why a lane is held, and until when (or core::kUntilEvent).
struct Hold {
    core::HoldReason reason;
    TimestampTz until;
};

// What a claim did with its grant.
struct GrantResult {
    int got = 0;                         // jobs that the claim took
    bool empty = false;                  // the lane has no claimable job that the claim's snapshot could see
    bool closed = false;                 // the lane gives no more now: a limit, or other claims have its jobs
    bool busy = false;                   // closed, only because another session has the tenant's lock
    bool limited = false;                // closed, by a limit of the tenant's own
    std::vector<TimestampTz> since = {}; // from when on each of the jobs could have been claimed
    int looked_at = 0;                   // entries of the index
    std::vector<core::KeyRange> scanned = {}; // where the claim left nothing to claim
    std::optional<Hold> hold = {};            // none of the jobs that the lane has left can run now
};

// What a draw grants a claim in one lane, and what the ring knows about the lane.
struct Grant {
    std::string tenant;
    int lane;
    std::uint32_t generation;          // settle() leaves the lane alone if another tenant has got it since
    int jobs;                          // that the lane was charged with
    int weight;                        // of the lane when it was drawn
    core::SkipRanges skip_ranges = {}; // of the lane
    int ahead = 0;                     // jobs in front that other claims are about to take
    core::PageHint hint = {};          // where the last walk along the lane began
    GrantResult result = {};
};

// What one lane did since it came into the ring, for metrics. The last minute is a sliding one.
struct LaneFigures {
    std::string queue, tenant;
    std::int64_t served;    // jobs in all
    double got_last_minute; // jobs that it got
    double due_last_minute; // jobs that were its share by weight while it could have been served
    int weight;             // that it had in its last draw
    std::int64_t queued;    // queued jobs, if the queue's queued counts are known
    bool waiting;           // it is in the schedule now, and not held
};
struct Figures {
    std::vector<LaneFigures> lanes;        // all lanes of all queues, in the schedule or not
    bool queued_counts_known = false;      // jobs were counted, and every commit since has added its changes
    bool queued_counts_whole = false;      // they were counted for every lane
    double dwell[core::kWaitBuckets] = {}; // jobs of quiet tenants in the last minute, by wait
};

// A claim's view of its queue's ring. It has to be made before the claim's snapshot is taken, and may wait
// for a claim slot until another claim calls release_claim_slot().
class Ring {
public:
    Ring(Oid table, std::string_view name);

    bool available() const { return queue_ >= 0; } // false: no shared memory, or too many queues
    bool complete() const { return complete_; }
    bool is_lost() const; // another queue has got this queue's place since

    // Draws up to `jobs` jobs from the lanes that are served next. room: as in core::draw. at: the time now. Ends the
    // holds whose time has come.
    std::vector<Grant> draw(int jobs, const std::function<int(int)> &room, TimestampTz at) const;
    // Takes back the charges for jobs that the claim did not get, removes empty lanes from the schedule, and holds
    // those that cannot run.
    void settle(const std::vector<Grant> &grants, TimestampTz at) const;
    void set_weight(const Grant &grant, int weight) const;
    // Stores and reads skip ranges and page hints: of lanes that were not drawn, or between two looks at one.
    void remember(Grant *first, size_t count = 1) const;

    // Where the rescan of the lane index goes on: behind tenant `after`, over at most `lanes` lanes, which is
    // one a millisecond since the last rescan (0: it is not time yet) and more until the ring is complete. In
    // the lane of `after`, the skip ranges from `key` on are still to be looked into; there and in the next
    // lanes over at most `entries` entries, one each 50 microseconds (0: none, until the ring is complete).
    // rescanned() says how far the claim came: it found `lanes` behind `after`, and `end` if there were no
    // more. Lanes that are new to the ring enter it. Returns the places in `lanes` of those that are held because of
    // their tenants' limits: if these let a job run, the claim calls end_hold(). Other holds end.
    struct Rescan {
        std::string after;
        core::LaneKey key;
        int lanes, entries;
    };
    Rescan next_rescan() const;
    std::vector<size_t> rescanned(const std::vector<std::string> &lanes, bool end, core::LaneKey key) const;
    void end_hold(const std::string &tenant) const;
    TimestampTz next_opening() const; // the earliest time that ends a hold; DT_NOEND: none
    core::SkipRanges skip_ranges_of(const std::string &tenant) const;
    void found_in_skip_range(const std::string &tenant, core::LaneKey key) const;

private:
    bool begin(TimestampTz now);
    int own_queue() const;
    void settle_lane(const Grant &grant) const;

    Oid table_;
    std::string name_;
    int queue_ = -1;
    std::uint64_t life_ = 0;               // of the queue at that place: another one has another number
    std::uint64_t clock_ = 0, events_ = 0; // before the claim's snapshot
    bool complete_ = false;
};

void release_claim_slot(); // to be called when the claim has drawn all that it wants
bool available();          // false: there is no shared memory
bool queued_counts_known(Oid table);
Figures figures(Oid table);
// How many lanes are in the schedule, and how many of them would be served before this one; none: unknown.
struct SchedulePosition {
    int lanes, ahead;
};
std::optional<SchedulePosition> schedule_position(Oid table, core::LaneName lane);
// The number of lanes in the schedule that are not held; none when there is no ring, or it is not complete.
std::optional<int> lanes(Oid table, std::string_view queue);
// The queues in which the tenant may have jobs, held or not, by the hashes of their names (waiters::hash_of). A queue is
// missing only when a claim saw the tenant's lane empty and nothing has entered it since. all: that cannot be told, and it
// may have jobs in any queue. Raises nothing.
struct QueuesOfTenant {
    static constexpr int kMost = 64;
    int count;
    bool all;
    std::uint64_t queues[kMost];
};
void find_queues_of(Oid table, std::string_view tenant, QueuesOfTenant &found);
// When a session last claimed from the queue, with or without success; none when unknown.
std::optional<TimestampTz> last_claim(Oid table, std::string_view queue);

} // namespace fairq::shared::ring
