// Draw, judge, take (see division.hpp).
#include "queue/division.hpp"

namespace fairq::queue {

namespace {

constexpr int kEnough = 100000; // entries: some 50 milliseconds

class Division {
public:
    Division(const ClaimRequest &request, tables::LiveTable &table, Gate &gate, Lanes &lanes, Claim &claim)
        : request_(request), table_(table), gate_(gate), lanes_(lanes), claim_(claim),
          queue_(tables::live_table_oid(pg::schema())), visits_left_(core::kLanesPerJob * request.max_jobs) {}

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
        judge(lane, limits, share);
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

    void judge(Known &lane, const TenantLimits &limits, Share &share) {
        if (lane.allowed >= 0)
            return;
        if (share.known_cap > 0 && share.known_cap == limits.max_concurrency && !limits.settling) {
            lane.allowed = 0;
            return;
        }
        Verdict const verdict = gate_.enter(lane.tenant, limits);
        if (verdict.reason == Verdict::Reason::at_cap && !limits.settling)
            share.found_cap = *limits.max_concurrency;
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
        tables::Wanted look{lane.tenant,     lane.number,    wanted,      capped,    share.gaps,
                        core::kFirstKey, core::kLastKey, share.ahead, share.mark};
        look.to = take_between(look, share);
        look.jobs = wanted - share.got;
        look.ahead = 0;
        if (look.jobs > 0 && look.to != core::kFirstKey)
            take_between(look, share);
        if (share.empty) // even if it took none: should this be rolled back, some may be there again
            shared::ring::activate_at_abort(queue_, lane.tenant, {});
        lane.taken += share.got;
        share.since.reserve(share.since.size() + static_cast<size_t>(share.got));
        for (auto job = claim_.jobs.end() - share.got; job != claim_.jobs.end(); ++job)
            share.since.push_back(job->since);
        gate_.taken(lane.tenant, limits, share.got);
    }

    // Returns where it began.
    core::LaneKey take_between(tables::Wanted look, Share &share) {
        core::LaneKey began = look.from;
        for (bool first = true;; first = false) {
            tables::Taken taken = table_.take(look, claim_.jobs);
            if (first) {
                began = taken.began;
                share.mark = taken.mark;
            }
            note(taken, look.tenant, share);
            if (!taken.next)
                return began;
            lanes_.remember(share);
            look.from = *taken.next;
            look.jobs -= taken.jobs;
            look.ahead = 0;
            look.mark = {};
        }
    }

    void note(tables::Taken &taken, const std::string &tenant, Share &share) {
        share.got += taken.jobs;
        share.empty = share.empty && taken.empty;
        share.looked_at += taken.looked_at;
        looked_at_ += taken.looked_at;
        share.passed.insert(share.passed.end(), taken.passed.begin(), taken.passed.end());
        // Should this be rolled back, what it took is there again.
        for (core::Stretch const &own : taken.own)
            shared::ring::activate_at_abort(queue_, tenant, own);
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
    tables::LiveTable &table_;
    Gate &gate_;
    Lanes &lanes_;
    Claim &claim_;
    Oid const queue_;
    int visits_left_, looked_at_ = 0; // entries of the index
    std::unordered_map<int, Known> known_;
    std::vector<int> full_; // lanes that are closed
};

} // namespace

void divide(const ClaimRequest &request, tables::LiveTable &table, Gate &gate, Lanes &lanes, Claim &claim) {
    Division(request, table, gate, lanes, claim).run();
}

} // namespace fairq::queue
