// The claim: draw, judge, take. One call gives up to max_jobs jobs, shared between the tenants that have
// claimable work, by their weights and within their limits, at a cost that depends on max_jobs alone.
#include "queue/gate.hpp"
#include "queue/lanes.hpp"
#include "queue/limits.hpp"
#include "queue/statements.hpp"
#include "queue/survey.hpp"
#include "queue/wait.hpp"

#include "pg/front.hpp"
#include "pg/leases.hpp"
#include "pg/table_cache.hpp"
#include "pg/waiters.hpp"

namespace fairq::queue {

namespace {

constexpr int64 kSweepInterval = core::kSecond;
constexpr int kEnough = 100000; // entries: some 50 milliseconds

// Where this queue's last claim stopped: what shared memory remembers, else what this session does, else
// anywhere.
class Rotation {
public:
    explicit Rotation(Oid queue) : queue_(queue) {}

    std::string start(pg::LiveTable &table) const {
        if (std::optional<std::string> shared = pg::shared_state::rotation(queue_))
            return *shared;
        if (own_queue == queue_ && own_length >= 0)
            return std::string(own_tenant, static_cast<size_t>(own_length));
        std::optional<std::string> const first = table.next_lane(""), last = table.last_lane();
        return first && last ? core::between(*first, *last, pg::random_bits()) : std::string();
    }

    void stop(const std::string &tenant) const {
        pg::shared_state::set_rotation(queue_, tenant);
        own_queue = queue_;
        own_length = static_cast<int>(tenant.copy(own_tenant, sizeof own_tenant));
    }

private:
    Oid queue_;
    inline static Oid own_queue = InvalidOid;
    inline static int own_length = -1;
    inline static char own_tenant[core::kMaxNameBytes + 1] = "";
};

// Divides one claim: draws lanes for what is missing and asks each for its part, until the claim is full,
// nobody has more, or as many lanes were asked as one call may.
class Division {
public:
    Division(const ClaimRequest &request, pg::LiveTable &table, Gate &gate, Lanes &lanes, Claim &claim)
        : request_(request), table_(table), gate_(gate), lanes_(lanes), claim_(claim),
          queue_(pg::live_table_oid(pg::schema())), visits_left_(core::kLanesPerJob * request.max_jobs) {}

    void run() {
        take_round();
        // Those whose lock somebody had: once more, at the end.
        if (missing() > 0 && reopen_busy())
            take_round();
        claim_.visited += core::kLanesPerJob * request_.max_jobs - visits_left_;
        claim_.stopped = visits_left_ <= 0 || has_looked_enough();
        claim_.busy = std::any_of(known_.begin(), known_.end(), [](auto &lane) { return lane.second.busy; });
    }

private:
    // What this claim knows of a lane.
    struct Known {
        std::string tenant;
        int number = -1;  // in the claim, once it gave a job
        int allowed = -1; // by its limits; -1: not judged yet
        int taken = 0;
        bool closed = false, busy = false;
    };

    int missing() const { return request_.max_jobs - static_cast<int>(claim_.jobs.size()); }

    int room(int lane) const {
        auto const known = known_.find(lane);
        if (known == known_.end())
            return request_.tenant_cap;
        if (known->second.closed)
            return 0;
        int const most = known->second.allowed < 0 ? request_.tenant_cap
                                                   : std::min(request_.tenant_cap, known->second.allowed);
        return most - known->second.taken;
    }

    void take_round() {
        while (missing() > 0 && visits_left_ > 0 && !has_looked_enough()) {
            std::vector<Share> shares = lanes_.draw(
                std::min(missing(), visits_left_), [this](int lane) { return room(lane); }, full_);
            if (shares.empty())
                return;
            std::vector<TenantLimits> limits;
            limits.reserve(shares.size());
            for (Share const &share : shares)
                limits.push_back(limits_of(share.tenant));
            bool const weights_known =
                std::equal(shares.begin(), shares.end(), limits.begin(), has_its_weight);
            if (weights_known)
                ask(shares, limits);
            lanes_.settle(shares);
            if (!weights_known) // a tenant's weight is another than its lane had: all is drawn again
                for (size_t i = 0; i < shares.size(); ++i)
                    lanes_.set_weight(shares[i], limits[i].weight);
        }
    }

    static bool has_its_weight(const Share &share, const TenantLimits &limits) {
        return share.weight == limits.weight;
    }

    void ask(std::vector<Share> &shares, const std::vector<TenantLimits> &limits) {
        std::vector<std::string_view> settling;
        for (size_t i = 0; i < shares.size(); ++i)
            if (limits[i].settling && !limits[i].paused)
                settling.push_back(shares[i].tenant);
        gate_.prepare(settling);
        for (size_t i = 0; i < shares.size() && !has_looked_enough(); ++i)
            ask(shares[i], limits[i]);
    }

    // After a restart nobody remembers where finished jobs are: a claim that has something does not make its
    // worker wait for the rest. The next one goes on from there.
    bool has_looked_enough() const { return looked_at_ > kEnough && !claim_.jobs.empty(); }

    void ask(Share &share, const TenantLimits &limits) {
        --visits_left_;
        Known &lane = known_[share.lane];
        if (lane.tenant.empty())
            lane.tenant = share.tenant;
        judge(lane, limits);
        int const wanted = std::min(share.jobs, lane.allowed - lane.taken);
        if (wanted > 0)
            take(share, lane, wanted, limits);
        share.busy = lane.busy;
        share.closed = !share.empty && share.got < share.jobs;
        share.limited = share.closed && !lane.busy && wanted < share.jobs;
        if (share.closed || share.empty) {
            lane.closed = true;
            full_.push_back(share.lane);
        }
    }

    void judge(Known &lane, const TenantLimits &limits) {
        if (lane.allowed >= 0)
            return;
        Verdict const verdict = gate_.enter(lane.tenant, limits);
        lane.busy = verdict.reason == Verdict::Reason::busy;
        lane.allowed = std::max(verdict.jobs, 0);
    }

    void take(Share &share, Known &lane, int wanted, const TenantLimits &limits) {
        if (lane.number < 0) {
            lane.number = static_cast<int>(claim_.lanes.size());
            claim_.lanes.push_back(lane.tenant);
            claim_.capped.push_back(limits.max_concurrency.has_value());
        }
        claim_.must_last = claim_.must_last || limits.max_concurrency || limits.rate;
        bool const capped = limits.max_concurrency.has_value();
        share.empty = true;
        // Behind what others are about to take; if that is not enough, there as well.
        pg::Wanted look{lane.tenant, lane.number,     wanted,         capped,
                        share.gaps,  core::kFirstKey, core::kLastKey, share.ahead};
        look.to = take_between(look, share);
        look.jobs = wanted - share.got;
        look.ahead = 0;
        if (look.jobs > 0 && look.to != core::kFirstKey)
            take_between(look, share);
        if (share.empty) // even if it took none: should this be rolled back, some may be there again
            pg::ring::activate_at_abort(queue_, lane.tenant, {});
        lane.taken += share.got;
        for (auto job = claim_.jobs.end() - share.got; job != claim_.jobs.end(); ++job)
            share.since.push_back(job->since);
        gate_.taken(lane.tenant, limits, share.got);
    }

    // Returns where it began.
    core::LaneKey take_between(pg::Wanted look, Share &share) {
        core::LaneKey began = look.from;
        for (bool first = true;; first = false) {
            pg::Taken taken = table_.take(look, claim_.jobs);
            if (first)
                began = taken.began;
            note(taken, look.tenant, share);
            if (!taken.next)
                return began;
            lanes_.remember(share);
            look.from = *taken.next;
            look.jobs -= taken.jobs;
            look.ahead = 0;
        }
    }

    void note(pg::Taken &taken, const std::string &tenant, Share &share) {
        share.got += taken.jobs;
        share.empty = share.empty && taken.empty;
        share.looked_at += taken.looked_at;
        looked_at_ += taken.looked_at;
        share.passed.insert(share.passed.end(), taken.passed.begin(), taken.passed.end());
        // Should this be rolled back, what it took is there again.
        for (core::Stretch const &own : taken.own)
            pg::ring::activate_at_abort(queue_, tenant, own);
    }

    bool reopen_busy() {
        bool any = false;
        full_.clear();
        for (auto &[lane, known] : known_) {
            if (known.busy) {
                known.allowed = -1;
                known.closed = known.busy = false;
                any = true;
            } else if (known.closed) {
                full_.push_back(lane);
            }
        }
        return any;
    }

    const ClaimRequest &request_;
    pg::LiveTable &table_;
    Gate &gate_;
    Lanes &lanes_;
    Claim &claim_;
    Oid const queue_;
    int visits_left_, looked_at_ = 0; // entries of the index
    std::unordered_map<int, Known> known_;
    std::vector<int> full_; // lanes that are closed
};

// Rides on every claim, so that external workers alone need no ticker. Returns whether it was time for a
// sweep.
bool keep_house(int max_jobs) {
    promote(max_jobs);
    bool const due =
        pg::shared_state::sweep_is_due(pg::live_table_oid(pg::schema()), pg::now(), kSweepInterval);
    if (due) {
        sweep(pg::settings::lease_timeout());
        unpark();
    }
    return due;
}

Ids ids_of(const Claim &claim) {
    Ids ids(claim.jobs.size());
    std::transform(claim.jobs.begin(), claim.jobs.end(), ids.begin(), [](const auto &job) { return job.id; });
    std::sort(ids.begin(), ids.end());
    return ids;
}

// The slow way to the same result: the rows are locked, the executor updates them, with all that hangs on the
// table. A trigger that keeps a row from being updated keeps its job from being claimed.
void update_by_executor(const ClaimRequest &request, const pg::ClaimMark &mark, Claim &claim) {
    Ids capped;
    for (auto const &job : claim.jobs)
        if (claim.capped[static_cast<size_t>(job.lane)])
            capped.push_back(job.id);
    pg::Rows const rows =
        pg::execute(sql::kClaimByExecutor, {pg::of(ids_of(claim)), pg::of(mark.worker), pg::of_time(mark.at),
                                            pg::of(mark.lock_token), pg::of(capped)});
    Ids updated(rows.size());
    for (size_t row = 0; row < rows.size(); ++row) {
        updated[row] = rows.int64_at(row, 1);
        if (request.rows)
            rows.put(row, request.rows);
    }
    std::sort(updated.begin(), updated.end());
    auto const refused = [&](const auto &job) {
        bool const kept_back = !std::binary_search(updated.begin(), updated.end(), job.id);
        if (kept_back)
            lane_filled(claim.lanes[static_cast<size_t>(job.lane)]);
        return kept_back;
    };
    claim.jobs.erase(std::remove_if(claim.jobs.begin(), claim.jobs.end(), refused), claim.jobs.end());
}

Ids runs_of(const Claim &claim) {
    Ids runs;
    for (pg::ClaimedJob const &job : claim.jobs)
        if (job.run != 0)
            runs.push_back(job.run);
    std::sort(runs.begin(), runs.end());
    runs.erase(std::unique(runs.begin(), runs.end()), runs.end());
    return runs;
}

void record(const pg::ClaimMark &mark, const Claim &claim) {
    Ids const ids = ids_of(claim);
    if (!pg::insert_lease(pg::schema(), mark, ids))
        pg::execute(sql::kInsertLease,
                    {pg::of(mark.lock_token), pg::of(mark.worker), pg::of_time(mark.at), pg::of(ids)});
    pending_claimed(claim);
    auto const load_test =
        std::count_if(claim.jobs.begin(), claim.jobs.end(), [](auto &job) { return job.load_test; });
    count_move(JobStatus::queued, JobStatus::locked, static_cast<int64>(claim.jobs.size()), load_test);
    Ids from_lane(claim.lanes.size());
    for (auto const &job : claim.jobs)
        ++from_lane[static_cast<size_t>(job.lane)];
    for (size_t lane = 0; lane < claim.lanes.size(); ++lane)
        lane_lost(claim.lanes[lane], from_lane[lane]);
    if (Ids const runs = runs_of(claim); !runs.empty())
        runs_started(runs);
}

// A cap may have come while this claim was under way, for a tenant that had none: whoever counts next has to
// find these jobs. (See tenant_limits.settling for those that come later still.)
void mark_newly_capped(const pg::ClaimMark &mark, const Claim &claim) {
    std::vector<std::string_view> tenants;
    for (size_t lane = 0; lane < claim.lanes.size(); ++lane)
        if (!claim.capped[lane] && limits_of(claim.lanes[lane]).max_concurrency)
            tenants.push_back(claim.lanes[lane]);
    if (!tenants.empty())
        pg::execute(sql::kMarkOwn, {pg::of(ids_of(claim)), pg::of(mark.lock_token), pg::of(tenants)});
}

// One claim under way: what it needs, made in the order in which it has to be. The ring's view comes before
// the snapshot (see Ring::settle).
class Attempt {
public:
    Attempt(const ClaimRequest &request, const pg::ClaimMark &mark, const pg::JobTypes &types)
        : request_(request), mark_(mark), queue_(pg::live_table_oid(pg::schema())), ring_(queue_),
          probes_(pg::schema()), keys_(queue_, probes_),
          table_(pg::schema(), mark, types, keys_, request.rows), gate_(probes_, queue_, mark.at) {}

    // True when all that it found had to be parked: there may be more behind.
    bool run(Claim &claim) {
        divide(claim);
        pg::ring::leave();
        if (ring_.available())
            survey(ring_, table_, mark_.at);
        bool const again = claim.jobs.empty() && table_.parks_all_it_may();
        Ids const to_park = table_.to_park();
        claim.parked += static_cast<int>(to_park.size());
        bool const updated = table_.direct();
        claim.must_last = claim.must_last || !updated || keys_.any();
        table_.finish();
        probes_.finish();
        claim.opens_at = std::min(claim.opens_at, gate_.opens_at());
        pg::with_spi([&] {
            if (!updated && !claim.jobs.empty())
                update_by_executor(request_, mark_, claim);
            if (!to_park.empty())
                pg::execute(sql::kPark, {pg::of(to_park)});
            gate_.finish();
            if (!claim.jobs.empty()) {
                record(mark_, claim);
                mark_newly_capped(mark_, claim);
            }
        });
        return again;
    }

private:
    void divide(Claim &claim) {
        if (request_.only_tenants != nullptr) {
            WalkedLanes lanes(ring_, Walk(*request_.only_tenants));
            Division(request_, table_, gate_, lanes, claim).run();
        } else if (ring_.complete()) {
            RingLanes lanes(ring_, mark_.at);
            Division(request_, table_, gate_, lanes, claim).run();
        } else {
            Rotation const rotation(queue_);
            WalkedLanes lanes(ring_,
                              Walk(table_, rotation.start(table_), core::kLanesPerJob * request_.max_jobs));
            Division(request_, table_, gate_, lanes, claim).run();
            rotation.stop(lanes.stopped_at());
        }
    }

    const ClaimRequest &request_;
    pg::ClaimMark const mark_;
    Oid const queue_;
    pg::ring::Ring const ring_;
    pg::Probes probes_;
    pg::KeyLocks keys_;
    pg::LiveTable table_;
    Gate gate_;
};

} // namespace

Claim claim(const ClaimRequest &request) {
    if (IsolationUsesXactSnapshot())
        pg::raise_isolation_level();
    pg::refuse_read_only("claim_queued_jobs()");
    std::uint64_t const news = pg::waiters::news(pg::live_table_oid(pg::schema()));
    bool const swept = keep_house(request.max_jobs);
    pg::ring::activate_own();
    pg::JobTypes types = request.types;
    types.pause(paused_types());
    pg::ClaimMark const mark{request.worker, pg::random_token(), pg::now()};
    Claim claim;
    claim.lock_token = mark.lock_token;
    while (Attempt(request, mark, types).run(claim))
        claim.lanes.clear(), claim.capped.clear();
    claim_seen(request, claim, news);
    if (swept || static_cast<int>(claim.jobs.size()) < request.max_jobs)
        claim.must_last = advance_runs(core::kRunStep) || claim.must_last;
    return claim;
}

int64 promote(int max_jobs) {
    TimestampTz const now = pg::now();
    std::optional<TimestampTz> const from = pg::first_due_job(pg::schema(), now);
    if (!from)
        return 0;
    return pg::with_spi([&] {
        return count_into_lanes(
            pg::execute(sql::kPromote, {pg::of_time(now), pg::of(int32{max_jobs}), pg::of_time(*from)}), 5);
    });
}

} // namespace fairq::queue
