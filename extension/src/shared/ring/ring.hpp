// The ring: in shared memory, which lanes (tenants) of a queue may have claimable jobs, and whose turn it is.
// A claim draws from it instead of walking over the lane index, and so it costs what it claims, not what
// there is. The tables are the truth: the ring only saves work. It never hides a claimable job that came
// through the API, because
//   - whatever puts a job into a lane enters the lane when it commits (activate_at_commit), and a claim that
//     emptied a lane enters it again when it rolls back (activate_at_abort);
//   - a lane leaves only if nothing has entered it since before the claim's own snapshot (Ring::settle);
//   - until a rescan has seen the whole lane index, after a restart or when the ring was full, it is not
//     complete(), and claims walk by the index;
//   - claims look at the next lane by the index (rescan), one a millisecond, for what was written directly to the tables or
//     got lost.
//
// Of each lane it also remembers the skip ranges: where claims found nothing to claim, only finished jobs and locked
// ones, so that the next ones step over it. Under an old snapshot vacuum leaves the entries of finished jobs
// where they are, and walking over them is what brings a queue down. The same rules keep skip ranges from hiding
// a job:
//   - whatever makes a job claimable says which (activate_at_commit), and a claim says what it took, should
//     it roll back (activate_at_abort): there is no skip range there any more;
//   - what a claim saw becomes a skip range only where nothing was touched since before its own snapshot;
//   - a job that somebody has, but may give back without a word, is in no skip range;
//   - the rescan looks into the skip ranges as well, at some 20 000 entries a second.
//
// And that a tenant is at its cap: nobody counts again until a job of it ends, or comes, or in a second.
#pragma once

#include "core/histogram.hpp"
#include "core/limits.hpp"
#include "core/page_hint.hpp"
#include "core/schedule.hpp"
#include "core/skip_ranges.hpp"
#include "pg/shared_memory.hpp"

namespace fairq::shared::ring {

extern const pg::shared_memory::Segment segment;
void define_settings();   // by _PG_init, when preloaded
void install_callbacks(); // by _PG_init, when preloaded

// Lanes to enter when this transaction commits; or when it, or a savepoint in it, rolls back. `where`: the
// jobs that can be claimed then.
void activate_at_commit(Oid table, std::string_view tenant, core::KeyRange where);
void activate_at_abort(Oid table, std::string_view tenant, core::KeyRange where);
// For who removes jobs of many lanes: should this be rolled back, nobody knows any skip ranges.
void forget_skip_ranges_at_abort(Oid table);
// Enters what waits for the commit now already: a claim sees its own transaction's jobs.
void activate_own();
// A job that counted for the tenant's cap has ended; or jobs of who knows which tenants.
void open_at_commit(Oid table, std::string_view tenant);
void open_all_at_commit(Oid table);
void weigh_at_commit(Oid table, std::string_view tenant, int weight);

// What became of a lane's part of a draw.
struct GrantResult {
    int got = 0;                         // jobs
    bool empty = false;                  // has no claimable job that the claim's snapshot could see
    bool closed = false;                 // could not give more now: a limit, or others are taking its jobs
    bool busy = false;                   // closed, only because another session has the tenant's lock
    bool limited = false;                // closed, by a limit of the tenant's own
    std::vector<TimestampTz> since = {}; // the moments from which its jobs could have been claimed
    int looked_at = 0;                   // entries of the index
    std::vector<core::KeyRange> scanned = {}; // where the claim left nothing to claim
    int found_cap = 0;                        // this claim has found the tenant at this cap; 0: it has not
};

// One lane's part of a draw: what the claim may take there, and what the ring knows about the lane.
struct Grant {
    std::string tenant;
    int lane;
    std::uint32_t
        generation; // of this use of the lane's place: another lane may have it by the time of settle()
    int jobs;       // charged
    int weight;     // that the lane had
    core::SkipRanges skip_ranges = {}; // of the lane
    int ahead = 0;                     // jobs behind them that other claims are about to take
    core::PageHint hint = {};          // where the last walk along the lane began
    int known_cap = 0;                 // the tenant is at this cap; 0: it may be below
    GrantResult result = {};
};

// What one lane did, for metrics. Since the lane came into the ring; the last minute is one that slides.
struct LaneFigures {
    std::string tenant;
    std::int64_t served; // in all
    double got_last_minute,
        due_last_minute; // jobs it got, and jobs that were its weight's share while it could have been served
    int weight;          // that it had in its last draw
    std::int64_t queued; // queued jobs, if the queue's queued counts are known
    bool waiting;        // is in the ring now
};
struct Figures {
    std::vector<LaneFigures> lanes;        // every lane of the queue, whether it waits or not
    bool queued_counts_known = false;      // counted, and every commit since has added what it changed
    bool queued_counts_whole = false;      // and there was a place for every tenant
    double dwell[core::kWaitBuckets] = {}; // jobs of quiet tenants in the last minute, by wait
};

// A claim's view of its queue's ring. Make it before the claim's snapshot is taken; it may have to wait for
// others to release_claim_slot().
class Ring {
public:
    explicit Ring(Oid table);

    bool available() const { return queue_ >= 0; } // false: no shared memory, or too many queues
    bool complete() const { return complete_; }

    // Draws up to `jobs` jobs from the lanes whose turn it is; room: as in core::draw; at: of the claim.
    std::vector<Grant> draw(int jobs, const std::function<int(int)> &room, TimestampTz at) const;
    // Takes back what was not given, lets go of lanes that are empty.
    void settle(const std::vector<Grant> &grants, TimestampTz at) const;
    void set_weight(const Grant &grant, int weight) const;
    // Of lanes that were not drawn, or between two looks at one: notes skip ranges and mark, and reads them.
    void remember(Grant *first, size_t count = 1) const;

    // Where the rescan of the lane index goes on, and over how many lanes at most: one a millisecond since
    // the last look (0: it is not time yet), but more until the ring is complete. Of the last lane that it
    // saw, the skip ranges from `key` on are still to be looked into; over how many entries, in this lane and the
    // next ones: one each 50 microseconds (0: only lanes, until it is complete). Then how far it came:
    // `lanes` were found behind that place, `end` if there were no more. Lanes that are new to the ring enter
    // it.
    struct Rescan {
        std::string after;
        core::LaneKey key;
        int lanes, entries;
    };
    Rescan next_rescan() const;
    void rescanned(const std::vector<std::string> &lanes, bool end, core::LaneKey key) const;
    core::SkipRanges skip_ranges_of(const std::string &tenant) const;
    void found_in_skip_range(const std::string &tenant, core::LaneKey key) const;

private:
    int own_queue() const;

    Oid table_;
    int queue_ = -1;
    std::uint64_t clock_ = 0, openings_ = 0; // before the claim's snapshot
    bool complete_ = false;
};

void release_claim_slot(); // the claim has drawn all that it wants
bool available();          // is there shared memory?
bool queued_counts_known(Oid table);
Figures figures(Oid table);
// Lanes that wait in the ring, and how many of them would be served before this one; none when nobody knows.
struct SchedulePosition {
    int lanes, ahead;
};
std::optional<SchedulePosition> schedule_position(Oid table, std::string_view tenant);
// Lanes in the ring; none when it is not there, or not complete.
std::optional<int> lanes(Oid table);
// Whether the tenant's lane may have jobs: false only when a claim saw it empty and nothing has entered it
// since. Raises nothing.
bool may_have_jobs(Oid table, std::string_view tenant);
// When anybody last claimed from the queue, with or without success; none when nobody remembers.
std::optional<TimestampTz> last_claim(Oid table);

} // namespace fairq::shared::ring
