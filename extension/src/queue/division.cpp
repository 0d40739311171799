// Draw, judge, take (see division.hpp).
#include "queue/division.hpp"

namespace fairq::queue {

namespace {

constexpr int kEnough = 100000; // entries: some 50 milliseconds
constexpr int kLookOn = 1000;   // entries of each further lane

class Division {
public:
    Division(const ClaimRequest &request, tables::LiveTable &table, LimitCheck &limit_check, Lanes &lanes,
             Claim &claim)
        : request_(request), table_(table), limit_check_(limit_check), lanes_(lanes), claim_(claim),
          queue_(tables::live_table_oid(pg::schema())), visits_left_(core::kLanesPerJob * request.max_jobs),
          leaving_left_(core::kLeavingLanes) {}

    void run() {
        take_round();
        // Ask once more the tenants whose lock another session had.
        if (missing() > 0 && reopen_busy())
            take_round();
        claim_.visited += visited_;
        claim_.stopped = visits_left_ <= 0 || has_looked_enough(2);
        claim_.busy = std::any_of(known_.begin(), known_.end(), [](auto &lane) { return lane.second.busy; });
    }

private:
    // What this claim knows of a lane.
    struct Known {
        std::string tenant;
        int number = -1;  // in the claim, once it gave a job
        int allowed = -1; // by its limits; -1: not judged yet
        int taken = 0;
        TimestampTz opens_at = DT_NOEND; // when the tenant's rate lets the next job through
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
        while (missing() > 0 && visits_left_ > 0 && !has_looked_enough(2)) {
            std::vector<Grant> grants = lanes_.draw(
                std::min(missing(), visits_left_), [this](int lane) { return room(lane); }, closed_);
            if (grants.empty())
                return;
            std::vector<TenantLimits> limits;
            limits.reserve(grants.size());
            for (Grant const &grant : grants)
                limits.push_back(limits_of(grant.tenant));
            bool const weights_known =
                std::equal(grants.begin(), grants.end(), limits.begin(), has_its_weight);
            if (weights_known)
                ask(grants, limits);
            lanes_.settle(grants);
            if (!weights_known) // the ring's weight was stale: correct it and draw again
                for (size_t i = 0; i < grants.size(); ++i)
                    lanes_.set_weight(grants[i], limits[i].weight);
        }
    }

    static bool has_its_weight(const Grant &grant, const TenantLimits &limits) {
        return grant.weight == limits.weight;
    }

    void ask(std::vector<Grant> &grants, const std::vector<TenantLimits> &limits) {
        std::vector<std::string_view> cap_pending;
        for (size_t i = 0; i < grants.size(); ++i)
            if (limits[i].cap_pending && !limits[i].paused)
                cap_pending.push_back(grants[i].tenant);
        limit_check_.prepare(cap_pending);
        for (size_t i = 0; i < grants.size() && !has_looked_enough(2); ++i)
            ask(grants[i], limits[i]);
    }

    // After a restart there are no skip ranges, so a claim may walk over many entries of finished jobs. Once it has
    // a job, it does not make its worker wait for the rest: the next claim goes on from there. This one looks at the
    // first entries of other lanes (times = 1), but not for much longer (2).
    bool has_looked_enough(int times) const { return looked_at_ > times * kEnough && !claim_.jobs.empty(); }

    void ask(Grant &grant, const TenantLimits &limits) {
        Known &lane = known_[grant.lane];
        if (lane.tenant.empty())
            lane.tenant = grant.tenant;
        judge(lane, limits);
        int const wanted = std::min(grant.jobs, lane.allowed - lane.taken);
        if (wanted > 0)
            take(grant, lane, wanted, limits);
        grant.result.busy = lane.busy;
        grant.result.closed = !grant.result.empty && grant.result.got < grant.jobs;
        grant.result.limited = grant.result.closed && !lane.busy && wanted < grant.jobs;
        if (grant.result.closed || grant.result.empty) {
            lane.closed = true;
            closed_.push_back(grant.lane);
        }
        if (!grant.result.hold && !lane.busy && lane.taken >= lane.allowed && is_settled(limits))
            grant.result.hold = {core::HoldReason::limits, lane.opens_at};
        count_visit(grant.result);
    }

    void count_visit(const shared::ring::GrantResult &result) {
        bool const leaves = lanes_.drops_lanes() && (result.hold || result.empty);
        visited_ += leaves ? 0 : 1;
        --(leaves && leaving_left_ > 0 ? leaving_left_ : visits_left_);
    }

    // While the tenant's cap is pending, jobs may end that do not count for it yet, and are not told to the ring.
    static bool is_settled(const TenantLimits &limits) { return limits.paused || !limits.cap_pending; }

    void judge(Known &lane, const TenantLimits &limits) {
        if (lane.allowed >= 0)
            return;
        Verdict const verdict = limit_check_.acquire(lane.tenant, limits);
        lane.busy = verdict.reason == Verdict::Reason::busy;
        lane.allowed = std::max(verdict.jobs, 0);
        if (verdict.reason == Verdict::Reason::out_of_tokens)
            lane.opens_at = verdict.admits_at;
    }

    void take(Grant &grant, Known &lane, int wanted, const TenantLimits &limits) {
        if (lane.number < 0) {
            lane.number = static_cast<int>(claim_.lanes.size());
            claim_.lanes.push_back(lane.tenant);
            claim_.capped.push_back(limits.max_concurrency.has_value());
        }
        claim_.needs_durable_commit = claim_.needs_durable_commit || limits.max_concurrency || limits.rate;
        bool const capped = limits.max_concurrency.has_value();
        grant.result.empty = true;
        bool paused = true;
        // First skip the `ahead` jobs that other claims have drawn; if too few follow, take from these too.
        tables::ScanRequest look{lane.tenant,     lane.number,    wanted,      capped,    grant.skip_ranges,
                                 core::kFirstKey, core::kLastKey, grant.ahead, grant.hint};
        look.to = take_between(look, grant, paused);
        look.jobs = wanted - grant.result.got;
        look.ahead = 0;
        if (look.jobs > 0 && look.to != core::kFirstKey)
            take_between(look, grant, paused);
        if (paused && !grant.result.empty)
            grant.result.hold = {core::HoldReason::jobs, core::kUntilEvent};
        if (grant.result.empty) // even if it took none: a rollback may bring jobs back
            shared::ring::activate_at_abort(queue_, {request_.queue, lane.tenant}, {});
        lane.taken += grant.result.got;
        grant.result.since.reserve(grant.result.since.size() + static_cast<size_t>(grant.result.got));
        for (auto job = claim_.jobs.end() - grant.result.got; job != claim_.jobs.end(); ++job)
            grant.result.since.push_back(job->since);
        lane.opens_at = limit_check_.record(lane.tenant, limits, grant.result.got);
    }

    // Returns the place in the lane at which it began. paused: becomes false if more than jobs of paused types is left.
    core::LaneKey take_between(tables::ScanRequest look, Grant &grant, bool &paused) {
        core::LaneKey began = look.from;
        for (bool first = true;; first = false) {
            look.entries = has_looked_enough(1) ? kLookOn : tables::kMostAtOnce;
            tables::ScanResult taken = table_.take(look, claim_.jobs);
            if (first) {
                began = taken.began;
                grant.hint = taken.hint;
            }
            note(taken, look.tenant, grant);
            paused = paused && taken.paused;
            if (!taken.next)
                return began;
            lanes_.remember(grant);
            if (has_looked_enough(1)) { // what is left of the lane was not looked at
                grant.result.empty = paused = false;
                claim_.left_lane = true;
                return began;
            }
            look.from = *taken.next;
            look.jobs -= taken.jobs;
            look.ahead = 0;
            look.hint = {};
        }
    }

    void note(tables::ScanResult &taken, const std::string &tenant, Grant &grant) {
        grant.result.got += taken.jobs;
        grant.result.empty = grant.result.empty && taken.empty;
        grant.result.looked_at += taken.looked_at;
        looked_at_ += taken.looked_at;
        grant.result.scanned.insert(grant.result.scanned.end(), taken.scanned.begin(), taken.scanned.end());
        // A rollback makes the jobs that this claim took claimable again.
        for (core::KeyRange const &own : taken.own)
            shared::ring::activate_at_abort(queue_, {request_.queue, tenant}, own);
    }

    bool reopen_busy() {
        bool any = false;
        closed_.clear();
        for (auto &[lane, known] : known_) {
            if (known.busy) {
                known.allowed = -1;
                known.closed = known.busy = false;
                any = true;
            } else if (known.closed) {
                closed_.push_back(lane);
            }
        }
        return any;
    }

    const ClaimRequest &request_;
    tables::LiveTable &table_;
    LimitCheck &limit_check_;
    Lanes &lanes_;
    Claim &claim_;
    Oid const queue_;
    int visits_left_, leaving_left_, visited_ = 0;
    int looked_at_ = 0; // entries of the index
    std::unordered_map<int, Known> known_;
    std::vector<int> closed_; // lanes
};

} // namespace

void divide(const ClaimRequest &request, tables::LiveTable &table, LimitCheck &limit_check, Lanes &lanes,
            Claim &claim) {
    Division(request, table, limit_check, lanes, claim).run();
}

} // namespace fairq::queue
